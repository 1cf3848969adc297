"""When a checkpoint is saved, and that it is the whole state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from schema import Checkpoint, Scalar
from tests.unit.test_loop import make_data, params, start
from trainers.encoding import decode_state, encode_state
from trainers.loop import train
from trainers.resuming import Keeper, Moment, from_tree, to_tree
from trainers.training import State, Training


class Clock:
    """Time that passes when a test says so."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Shelf:
    """Checkpoints in memory; each save takes ``cost_s`` of the clock's time, or fails."""

    def __init__(self, clock: Clock, *, cost_s: float = 0.1, is_full: bool = False) -> None:
        self.clock, self.cost_s, self.is_full = clock, cost_s, is_full
        self.steps: list[int] = []

    def save(self, checkpoint: Checkpoint) -> None:
        self.clock.now_s += self.cost_s
        if self.is_full:
            raise OSError("No space left on device")
        self.steps.append(checkpoint.step)

    def find_newest(self) -> Checkpoint | None:
        return None


class Listener:
    """A Control that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def after_step(self, step: int) -> None:
        del step

    def log(self, text: str) -> None:
        self.lines.append(text)

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        del facts


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def training() -> Training:
    return Training(start(), make_data(40), params())


def test_a_long_epoch_is_saved_in_between(clock: Clock, training: Training) -> None:
    shelf = Shelf(clock)
    keeper = Keeper(shelf, every_s=60, control=Listener(), clock=clock)
    for now_s in (30, 61, 100, 122):
        clock.now_s, training.step = now_s, now_s
        keeper(training, Moment.STEP)
    assert shelf.steps == [61, 122]


def test_the_end_of_an_epoch_is_saved_unless_saving_would_take_too_long(
    clock: Clock, training: Training
) -> None:
    shelf = Shelf(clock, cost_s=0.1)
    keeper = Keeper(shelf, every_s=60, control=Listener(), clock=clock)
    for now_s in (1, 2, 4):  # saved in 0.1 s: due again 2 s later
        clock.now_s, training.step = now_s, now_s
        keeper(training, Moment.EPOCH)
    assert shelf.steps == [1, 4]


@pytest.mark.parametrize("moment", [Moment.STOP, Moment.EPOCH])
def test_a_stop_and_the_last_epoch_are_always_saved(clock: Clock, training: Training, moment: Moment) -> None:
    shelf = Shelf(clock)
    keeper = Keeper(shelf, every_s=60, control=Listener(), clock=clock)
    keeper(training, Moment.STOP)
    if moment is Moment.EPOCH:
        training.epoch = training.hyper_params.num_epochs + 1
    keeper(training, moment)
    assert len(shelf.steps) == 2


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(clock: Clock, training: Training) -> None:
    listener = Listener()
    keeper = Keeper(Shelf(clock, is_full=True), every_s=60, control=listener, clock=clock)
    keeper(training, Moment.STOP)
    assert "No space left on device" in listener.lines[0]
    assert "The run goes on" in listener.lines[0]


def captured(step: int) -> tuple[State, Any]:
    """A state in mid-training, and the weights of the training that goes on undisturbed from there."""
    data, hyper_params = make_data(40, has_validation=True), params(optimizer="adamw", schedule="cosine")
    training = Training(start("resnet9"), data, hyper_params)
    for _ in range(step):
        if training.is_epoch_complete:
            training.end_epoch(1.0, 0.5)
        training.learn_batch()
    state = training.capture()
    return state, go_on(state)


def go_on(state: State) -> list[torch.Tensor]:
    network = start("resnet9")
    data, hyper_params = make_data(40, has_validation=True), params(optimizer="adamw", schedule="cosine")
    list(train(network, data, hyper_params, control=Listener(), resume=state))
    return [tensor.clone() for tensor in network.state_dict().values()]


def differ(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_state_comes_back_from_its_file_to_the_bit() -> None:
    state, weights = captured(4)
    back = from_tree(decode_state(*encode_state(to_tree(state))))
    assert not differ(go_on(back), weights)


def fresh_training() -> Training:
    return Training(
        start("resnet9"), make_data(40, has_validation=True), params(optimizer="adamw", schedule="cosine")
    )


@pytest.mark.parametrize("part", ["network", "optimizer", "shuffle", "epoch", "batch", "step"])
def test_a_part_that_is_left_out_changes_the_weights(part: str) -> None:
    state, weights = captured(4)
    begun = fresh_training().capture()
    without = dataclasses.replace(state, **{part: getattr(begun, part)})
    assert differ(go_on(without), weights)


def test_a_part_that_is_missing_is_an_error() -> None:
    state, _ = captured(1)
    for name in to_tree(state):
        tree = to_tree(state)
        del tree[name]
        with pytest.raises((TypeError, KeyError)):
            from_tree(tree)
