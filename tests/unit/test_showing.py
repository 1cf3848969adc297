"""What a training shows to those who watch, over a clock the test winds."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from io import BytesIO

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from schema import EpochResult, LivePoint, LiveTile
from tests.unit.test_loop import RecordingControl, fingerprint, make_data, params, start
from trainers import showing
from trainers.augmentation import Draw
from trainers.loop import train
from trainers.showing import INTERVAL_S, Showing
from trainers.team import Alone, take_share
from trainers.training import Training


class Theatre:
    """An audience that comes and goes, and the time."""

    def __init__(self, *, is_open: bool = True, cost_s: float = 0.0) -> None:
        self.is_open = is_open
        self.cost_s = cost_s
        self.now_s = 100.0
        self.points: list[LivePoint] = []
        self.tiles: list[Sequence[LiveTile]] = []

    def is_watched(self) -> bool:
        return self.is_open

    def show(self, points: Sequence[LivePoint], tiles: Sequence[LiveTile], *, batch_size: int) -> None:
        assert batch_size == 16
        self.now_s += self.cost_s
        self.points += points
        if tiles:
            self.tiles.append(tiles)

    def clock(self) -> float:
        return self.now_s


def run(theatre: Theatre, *, epochs: int = 2, **changes: object) -> list[EpochResult]:
    control = RecordingControl()
    return list(
        train(
            start(), make_data(160), params(num_epochs=epochs, **changes), control=control, audience=theatre
        )
    )


def steps(theatre: Theatre, count: int, before: Callable[[], None] = lambda: None) -> Training:
    training = Training(start(), make_data(160), params())
    shown = Showing(training, theatre, clock=theatre.clock)
    for _ in range(count):
        before()
        training.learn_batch()
        shown.after_step()
    return training


def test_who_watches_sees_the_loss_of_every_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "INTERVAL_S", 0.0)
    theatre = Theatre()
    run(theatre, epochs=3)
    assert [point.iteration for point in theatre.points] == list(range(1, 31))
    assert float(theatre.points[-1].loss) < float(theatre.points[0].loss)


class FirstOfTwo(Alone):
    """Takes a share of each batch, and adds nobody else's."""

    size = 2

    def share(self, drawn: Draw) -> Draw:
        return take_share(drawn, 0, 2)


def test_the_loss_that_a_rank_shows_is_the_mean_of_its_own_images() -> None:
    training = Training(start(), make_data(165), params(), FirstOfTwo())
    training.keeps_latest = True
    losses = []
    while not training.is_epoch_complete:
        training.learn_batch()
        assert training.latest is not None
        _, logits, labels = training.latest
        losses.append(float(cross_entropy(logits, labels)))
        assert float(training.copy_losses(1)) == pytest.approx(losses[-1])
    assert len(labels) == 3, "of a batch of 5"
    assert training.copy_losses(11).tolist() == pytest.approx(losses)


def test_watching_changes_no_bit() -> None:
    assert fingerprint(run(Theatre())) == fingerprint(run(Theatre(is_open=False)))


def test_nothing_is_shown_and_no_batch_kept_while_nobody_watches() -> None:
    theatre = Theatre(is_open=False)
    training = steps(theatre, 5)
    assert (theatre.points, theatre.tiles, training.latest, training.keeps_latest) == ([], [], None, False)


def test_the_images_are_those_of_the_batch_and_the_predictions_what_the_network_made_of_them() -> None:
    theatre = Theatre()
    training = Training(start(), make_data(160), params())
    shown = Showing(training, theatre, clock=theatre.clock)
    training.learn_batch()
    shown.after_step()
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    training.learn_batch()
    assert training.latest is not None
    kept.append(training.latest)
    shown.after_step()

    (pixels, logits, labels) = kept[0]
    (tiles,) = theatre.tiles
    assert [point.iteration for point in theatre.points] == [1, 2]
    assert [tile.ground_truth for tile in tiles] == [str(int(label)) for label in labels]
    assert [tile.prediction for tile in tiles] == [str(int(best)) for best in logits.argmax(1)]
    assert tiles[0].confidence == pytest.approx(float(logits[0].softmax(0).max()))
    seen = Image.open(BytesIO(base64.b64decode(tiles[3].image.partition(",")[2])))
    assert torch.equal(
        torch.frombuffer(bytearray(seen.tobytes()), dtype=torch.uint8).reshape(8, 8), pixels[3, 0]
    )
    assert training.latest is None


def test_between_two_showings_there_is_a_rest_of_200_times_what_one_took() -> None:
    theatre = Theatre(cost_s=0.1)

    def wind() -> None:
        theatre.now_s += 1.0

    steps(theatre, 10, wind)
    assert len(theatre.tiles) == 1, "20 s have not passed"
    cheap = Theatre()

    def wind_cheap() -> None:
        cheap.now_s += INTERVAL_S

    steps(cheap, 10, wind_cheap)
    assert len(cheap.tiles) == 5, "every second step: one keeps the batch, the next one shows it"


def test_large_pictures_are_made_smaller_on_the_device() -> None:
    assert showing._shrink(torch.zeros(2, 3, 224, 112, dtype=torch.uint8)).shape == (2, 3, 96, 48)
    assert showing._shrink(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 3, 32, 32)


def test_a_loss_that_is_no_number_is_shown_as_what_it_is() -> None:
    assert [showing._loss(loss) for loss in (0.5, float("nan"), float("inf"), -float("inf"))] == [
        0.5, "NaN", "Infinity", "-Infinity",
    ]  # fmt: skip
