"""The loop's own promises, on a few generated images."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import pytest
import torch
from torch import nn

from errors import TrainingFailed
from schema import EpochResult, Request, Scalar
from trainers.data import Data, Split
from trainers.loop import evaluate, train
from trainers.networks import build_network
from trainers.params import CnnHyperParams


class RecordingControl:
    """Remembers the steps it was told of; asks for a stop after ``stop_at``."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.steps: list[int] = []

    def after_step(self, step: int) -> Request | None:
        self.steps.append(step)
        return Request.PREEMPT if step == self.stop_at else None

    def log(self, text: str) -> None:
        raise AssertionError(f"the loop itself logs nothing: {text}")

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        raise AssertionError(f"the loop itself describes nothing: {facts}")


def make_data(count: int, *, has_validation: bool = False) -> Data:
    """Images that are bright in the row of their label."""
    generator = torch.Generator().manual_seed(1)

    def split(count: int) -> Split:
        labels = torch.randint(0, 8, (count,), generator=generator)
        images = torch.randint(0, 100, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
        images[torch.arange(count), 0, labels] += 120
        return Split(images.contiguous(memory_format=torch.channels_last), labels)

    return Data(
        train=split(count),
        test=split(40),
        validation=split(20) if has_validation else None,
        mean=torch.full((1, 1, 1, 1), 70.0),
        std=torch.full((1, 1, 1, 1), 50.0),
    )


def start(name: str = "small_cnn") -> nn.Module:
    network = build_network(name, channels=1, side=8, classes=8, seed=0)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return] # not in the stub


def params(**changes: object) -> CnnHyperParams:
    return CnnHyperParams.model_validate({"num_epochs": 3, "batch_size": 16, **changes})


def fingerprint(results: list[EpochResult]) -> list[dict[str, object]]:
    return [result.model_dump(exclude={"duration_s"}) for result in results]


@pytest.mark.parametrize(
    ("network", "optimizer"),
    [
        ("small_cnn", "adam"),
        ("small_cnn", "adamw"),
        ("small_cnn", "sgd"),
        ("small_cnn", "rmsprop"),
        ("resnet9", "adamw"),
    ],
)
def test_every_network_and_every_optimizer_learns(network: str, optimizer: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 0.002
    results = list(
        train(
            start(network),
            make_data(160),
            params(optimizer=optimizer, learning_rate=rate),
            control=RecordingControl(),
        )
    )
    assert [result.epoch for result in results] == [1, 2, 3]
    assert results[-1].train_loss < results[0].train_loss
    assert results[-1].test_accuracy > 0.5


def test_steps_are_counted_from_one_over_the_whole_run() -> None:
    control = RecordingControl()
    list(train(start(), make_data(40), params(), control=control))
    assert control.steps == list(range(1, 10))


def test_every_step_is_taken_in_training_mode_and_every_epoch_ends_in_evaluation_mode() -> None:
    network, modes = start(), set[bool]()

    class WatchingControl(RecordingControl):
        def after_step(self, step: int) -> Request | None:
            modes.add(network.training)
            return super().after_step(step)

    for _ in train(network, make_data(40), params(), control=WatchingControl()):
        assert not network.training
    assert modes == {True}


@pytest.mark.parametrize(("stop_at", "epochs"), [(1, 0), (3, 0), (4, 1), (5, 1)])
def test_a_request_ends_the_run_without_the_unfinished_epoch(stop_at: int, epochs: int) -> None:
    control = RecordingControl(stop_at)
    results = list(train(start(), make_data(40), params(), control=control))
    assert len(results) == epochs
    assert control.steps[-1] == stop_at


def test_a_rest_of_one_image_joins_the_batch_before_it() -> None:
    control = RecordingControl()
    results = list(train(start("resnet9"), make_data(33), params(num_epochs=1), control=control))
    assert control.steps == [1, 2]
    assert len(results) == 1


def test_a_batch_may_be_larger_than_the_training_split() -> None:
    control = RecordingControl()
    list(train(start(), make_data(10), params(num_epochs=2, batch_size=65_536), control=control))
    assert control.steps == [1, 2]


def test_the_validation_part_gets_its_own_figures() -> None:
    (result,) = train(
        start(), make_data(40, has_validation=True), params(num_epochs=1), control=RecordingControl()
    )
    assert result.validation_loss is not None
    assert result.validation_accuracy is not None
    (without,) = train(start(), make_data(40), params(num_epochs=1), control=RecordingControl())
    assert (without.validation_loss, without.validation_accuracy) == (None, None)


@pytest.mark.parametrize("name", ["small_cnn", "resnet9"])
def test_the_figures_are_those_of_a_plain_computation(name: str) -> None:
    data, network = make_data(50), start(name)
    (result,) = train(network, data, params(num_epochs=1), control=RecordingControl())
    network.eval()
    with torch.inference_mode():
        logits = network((data.test.images.float() - 70) / 50)
        loss = nn.functional.cross_entropy(logits, data.test.labels)
        accuracy = (logits.argmax(1) == data.test.labels).double().mean()
    assert result.test_loss == pytest.approx(loss.item(), rel=1e-4)
    assert result.test_accuracy == accuracy.item()


def test_evaluating_in_many_batches_weighs_every_image_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    data, network = make_data(10), start()
    at_once = evaluate(network, data, data.test)
    monkeypatch.setattr("trainers.loop._EVALUATION_BATCH", 7)
    torch.testing.assert_close(evaluate(network, data, data.test), at_once)


def test_the_same_seed_gives_the_same_epochs_and_another_one_does_not() -> None:
    data = make_data(40)
    one, again, other = (
        fingerprint(list(train(start(), data, params(seed=seed), control=RecordingControl())))
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_what_others_draw_from_the_global_generator_does_not_change_the_run() -> None:
    data = make_data(40)
    undisturbed = list(train(start(), data, params(), control=RecordingControl()))
    disturbed = []
    for result in train(start(), data, params(), control=RecordingControl()):
        torch.rand(3)
        disturbed.append(result)
    assert fingerprint(disturbed) == fingerprint(undisturbed)


def test_a_loss_that_is_no_number_fails_with_epoch_steps_and_learning_rate() -> None:
    network = start()
    epochs = train(
        network, make_data(40), params(optimizer="sgd", learning_rate=0.5), control=RecordingControl()
    )
    next(epochs)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingFailed, match=r"epoch 2 \(steps 4 to 6\) with sgd at learning_rate 0\.5"):
        next(epochs)


def test_batches_stay_channels_last() -> None:
    images = torch.zeros(6, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    data = Data(
        train=Split(images, torch.zeros(6, dtype=torch.int64)),
        test=Split(images, torch.zeros(6, dtype=torch.int64)),
        validation=None,
        mean=torch.zeros(1, 3, 1, 1),
        std=torch.ones(1, 3, 1, 1),
    )
    batch = data.normalise(data.train.images[torch.tensor([4, 1, 2])])
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_the_generator_can_be_left_at_any_epoch() -> None:
    results = list(islice(train(start(), make_data(20), params(), control=RecordingControl()), 2))
    assert len(results) == 2
