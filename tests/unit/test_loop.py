"""The loop's own promises, on a few generated images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import nn

from errors import TrainingFailed
from schema import EpochResult, Epochs, Request, Scalar
from trainers.augmentation import draw, pad, padding_of
from trainers.data import Data, TensorSplit
from trainers.loop import evaluate, train
from trainers.networks import build_network
from trainers.params import CnnHyperParams
from trainers.training import Training

CPU = torch.device("cpu")


class RecordingControl:
    """Remembers the steps it was told of; asks for a stop after ``stop_at``."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.steps: list[int] = []
        self.signs_of_life = 0
        self.facts: list[dict[str, Scalar]] = []

    def after_step(self, step: int) -> Request | None:
        if step == 0:
            self.signs_of_life += 1
            return None
        self.steps.append(step)
        return Request.PREEMPT if step == self.stop_at else None

    def log(self, text: str) -> None:
        raise AssertionError(f"the loop itself logs nothing: {text}")

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        self.facts.append(dict(facts))


def make_data(count: int, *, has_validation: bool = False) -> Data:
    """Images that are bright in the row of their label."""
    generator = torch.Generator().manual_seed(1)

    def split(count: int) -> TensorSplit:
        labels = torch.randint(0, 8, (count,), generator=generator)
        images = torch.randint(0, 100, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
        images[torch.arange(count), 0, labels] += 120
        return TensorSplit(images.contiguous(memory_format=torch.channels_last), labels, CPU)

    return Data(
        train=split(count),
        test=split(40),
        validation=split(20) if has_validation else None,
        mean=torch.full((1, 1, 1, 1), 70.0),
        std=torch.full((1, 1, 1, 1), 50.0),
        channels=1,
        side=8,
        classes=8,
        place="device",
    )


def start(name: str = "small_cnn") -> nn.Module:
    network = build_network(name, channels=1, side=8, classes=8, seed=0)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return] # not in the stub


def params(**changes: object) -> CnnHyperParams:
    return CnnHyperParams.model_validate({"num_epochs": 3, "batch_size": 16, **changes})


def drain(epochs: Epochs) -> tuple[list[EpochResult], str | None]:
    """Return all results and the reason for an early end."""
    results = []
    while True:
        try:
            results.append(next(epochs))
        except StopIteration as end:
            return results, end.value


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
            if step:
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
    ((images, labels),) = data.test.load_all(100)
    with torch.inference_mode():
        logits = network((images.float() - 70) / 50)
        loss = nn.functional.cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).double().mean()
    assert result.test_loss == pytest.approx(loss.item(), rel=1e-4)
    assert result.test_accuracy == accuracy.item()


def test_evaluating_in_many_batches_weighs_every_image_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(start(), make_data(10), params())
    at_once = evaluate(training, training.data.test, RecordingControl())
    monkeypatch.setattr("trainers.loop.EVALUATION_BATCH", 7)
    torch.testing.assert_close(evaluate(training, training.data.test, RecordingControl()), at_once)


def test_every_batch_that_is_evaluated_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    training, control = Training(start(), make_data(10), params()), RecordingControl()
    monkeypatch.setattr("trainers.loop.EVALUATION_BATCH", 7)
    evaluate(training, training.data.test, control)
    assert control.signs_of_life == 6


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


class BreakingControl(RecordingControl):
    """Breaks the weights after one step."""

    def __init__(self, network: nn.Module, break_after: int) -> None:
        super().__init__()
        self.network = network
        self.break_after = break_after

    def after_step(self, step: int) -> Request | None:
        if step == self.break_after:
            with torch.no_grad():
                next(self.network.parameters()).fill_(float("nan"))
        return super().after_step(step)


@pytest.mark.parametrize(
    ("break_after", "step", "epoch", "rate"),
    [(3, 3, 1, "0.1"), (4, 5, 2, "0.1"), (7, 8, 3, "0.01"), (9, 9, 3, "0.01")],
)
def test_a_loss_that_is_no_number_fails_with_its_step_and_learning_rate(
    break_after: int, step: int, epoch: int, rate: str
) -> None:
    network = start()
    hyper_params = params(optimizer="sgd", learning_rate=0.1, schedule="step", step_epochs=2)
    epochs = train(network, make_data(40), hyper_params, control=BreakingControl(network, break_after))
    message = rf"at step {step}, in epoch {epoch}, with sgd at learning rate {rate}\. "
    with pytest.raises(TrainingFailed, match=message):
        list(epochs)


@pytest.mark.parametrize(("stop_at", "optimizer"), [(2, "adamw"), (3, "sgd"), (5, "adamw")])
def test_a_training_that_goes_on_from_a_captured_state_ends_with_the_same_bits(
    stop_at: int, optimizer: str
) -> None:
    data = make_data(40, has_validation=True)
    hyper_params = params(optimizer=optimizer, schedule="cosine", label_smoothing=0.1)
    whole = start("resnet9")
    undisturbed = list(train(whole, data, hyper_params, control=RecordingControl()))

    first = Training(start("resnet9"), data, hyper_params)
    for _ in range(stop_at):
        if first.is_epoch_complete:
            first.end_epoch(1.0, 0.5)
        first.learn_batch()
    state = first.capture()
    first.learn_batch() if not first.is_epoch_complete else None
    torch.rand(3)
    other = start("resnet9")
    rest = list(train(other, data, hyper_params, control=RecordingControl(), resume=state))

    assert fingerprint(rest) == fingerprint(undisturbed)[-len(rest) :]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), other.parameters(), strict=True))


def test_a_training_ends_when_the_validation_part_reaches_the_target() -> None:
    epochs = train(
        start(),
        make_data(160, has_validation=True),
        params(num_epochs=50, validation_fraction=0.1, target_accuracy=0.5),
        control=RecordingControl(),
    )
    results, reason = drain(epochs)
    assert reason is not None
    assert reason.startswith("Target reached: validation accuracy ")
    assert [(result.validation_accuracy or 0) >= 0.5 for result in results] == [False] * (
        len(results) - 1
    ) + [True]


def test_a_training_ends_when_the_validation_loss_no_longer_falls() -> None:
    epochs = train(
        start(),
        make_data(20, has_validation=True),
        params(num_epochs=50, validation_fraction=0.1, patience=2, min_delta=100.0),
        control=RecordingControl(),
    )
    results, reason = drain(epochs)
    assert len(results) == 3
    assert reason == "Stopped early: the validation loss has not fallen for 2 epochs."


@pytest.mark.parametrize("augmentation", ["none", "crop_flip_cutout"])
def test_batches_stay_channels_last(augmentation: str) -> None:
    images = torch.zeros(6, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    padding = padding_of(augmentation, 8)
    split = TensorSplit(pad(images, padding), torch.zeros(6, dtype=torch.int64), CPU, padding)
    drawn = draw(augmentation, count=6, side=8, generator=torch.Generator())
    for batch, _ in [*split.load([drawn]), *split.load_all(4)]:
        zeros, ones = torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)
        data = replace(make_data(1), mean=zeros, std=ones, channels=3)
        assert data.normalise(batch).is_contiguous(memory_format=torch.channels_last)


def test_the_generator_can_be_left_at_any_epoch() -> None:
    results = list(islice(train(start(), make_data(20), params(), control=RecordingControl()), 2))
    assert len(results) == 2
