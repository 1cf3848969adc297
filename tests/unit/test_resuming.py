"""When a checkpoint is saved, and that it is the whole state."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import pytest
import torch

from schema import Checkpoint, Scalar
from tests.unit.test_loop import make_data, params, start
from trainers.augmentation import pad
from trainers.data import TensorSplit
from trainers.encoding import decode_state, encode_state
from trainers.loop import train
from trainers.networks import build_network
from trainers.params import CnnHyperParams
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


class Case(NamedTuple):
    """With which hyper_params a part of the state matters, and whether to weights or only to results."""

    hyper_params: Mapping[str, object]
    changes: Literal["weights", "results"] = "weights"


CASES: Mapping[str, Case] = {
    "network": Case({}),
    "optimizer": Case({}),
    "scaler": Case({"precision": "fp16"}),
    "torch_rng": Case({"dropout": 0.5}),
    "shuffle": Case({}),
    "epoch": Case({}),
    "batch": Case({}),
    "step": Case({}),
    "figures": Case({}, "results"),
    "precision": Case({"precision": "bf16"}),
    "progress": Case({"patience": 1, "validation_fraction": 0.5, "num_epochs": 5}),
    "elapsed_s": Case({}, "results"),
}
# There is none on a CPU; on a GPU it draws what torch_rng draws here.
OF_A_GPU = {"device_rng"}
HALF_AN_HOUR_S = 1800.0


def new_training(hyper_params: CnnHyperParams) -> Training:
    network = build_network(
        "resnet9", channels=1, side=8, classes=8, seed=0, dropout=hyper_params.dropout
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in the stub
    return Training(network, make_data(40, has_validation=True), hyper_params)


def captured(step: int, **changes: object) -> tuple[State, CnnHyperParams]:
    """A state in mid-training, of a training whose first epoch was as good as none can be."""
    hyper_params = params(optimizer="adamw", schedule="cosine", **changes)
    training = new_training(hyper_params)
    if hyper_params.precision == "fp16":  # as after a long time without an overflow: the next step has one
        training.scaler.load_state_dict({**training.scaler.state_dict(), "scale": 2.0**30})
    for _ in range(step):
        if training.is_epoch_complete:
            training.end_epoch(0.0, 0.5)
        training.learn_batch()
    return dataclasses.replace(training.capture(), elapsed_s=HALF_AN_HOUR_S), hyper_params


class Outcome(NamedTuple):
    """What a training that went on from a state ended with."""

    weights: list[torch.Tensor]
    results: list[dict[str, object]]
    is_long: bool


def go_on(state: State, hyper_params: CnnHyperParams) -> Outcome:
    begun = new_training(hyper_params)
    results = list(train(begun.network, begun.data, hyper_params, control=Listener(), resume=state))
    weights = [tensor.clone() for tensor in begun.network.state_dict().values()]
    told = [result.model_dump(exclude={"duration_s", "resumed_after_s"}) for result in results]
    return Outcome(weights, told, results[0].duration_s > HALF_AN_HOUR_S)


def differ(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_state_comes_back_from_its_file_to_the_bit() -> None:
    state, hyper_params = captured(4)
    back = from_tree(decode_state(*encode_state(to_tree(state))))
    assert not differ(go_on(back, hyper_params).weights, go_on(state, hyper_params).weights)


def test_every_part_of_the_state_has_a_case_in_which_it_matters() -> None:
    assert set(CASES) | OF_A_GPU == {field.name for field in dataclasses.fields(State)}


@pytest.mark.parametrize("part", CASES)
def test_a_part_that_is_left_out_changes_what_comes_out(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A CPU computes in any precision, slowly, which the product refuses.
    monkeypatch.setattr(
        "trainers.training.resolve_precision", lambda wanted, _: "fp32" if wanted == "auto" else wanted
    )
    case = CASES[part]
    state, hyper_params = captured(4, **case.hyper_params)
    if part == "precision":  # the first attempt computed in another one than this host would choose
        state, _ = captured(4, **{**case.hyper_params, "precision": "fp32"})
    expected = go_on(state, hyper_params)
    begun = new_training(hyper_params).capture()
    outcome = go_on(dataclasses.replace(state, **{part: getattr(begun, part)}), hyper_params)
    assert differ(outcome.weights, expected.weights) is (case.changes == "weights")
    assert (outcome.results, outcome.is_long) != (expected.results, expected.is_long)


def test_the_generators_of_python_and_numpy_are_not_part_of_the_state() -> None:
    hyper_params = params(
        dropout=0.5, augmentation="crop_flip_cutout", network="resnet9", num_epochs=2, seed=5
    )
    before = random.getstate(), np.random.get_state()
    data = make_data(40, has_validation=True)
    assert isinstance(data.train, TensorSplit)
    padded = TensorSplit(pad(data.train.images, 1), data.train.labels, data.device, 1)
    list(train(start(), dataclasses.replace(data, train=padded), hyper_params, control=Listener()))
    assert random.getstate() == before[0]
    after = np.random.get_state()
    assert [str(part) for part in after] == [str(part) for part in before[1]]


def test_an_epoch_that_is_resumed_has_the_time_of_both_attempts_and_says_how_much_is_earlier() -> None:
    state, hyper_params = captured(4)
    begun = new_training(hyper_params)
    first, *later = train(begun.network, begun.data, hyper_params, control=Listener(), resume=state)
    assert first.resumed_after_s == HALF_AN_HOUR_S
    assert HALF_AN_HOUR_S < first.duration_s < HALF_AN_HOUR_S + 60
    assert [(result.resumed_after_s, result.duration_s < 60) for result in later] == [(None, True)] * len(
        later
    )


def test_a_part_that_is_missing_is_an_error() -> None:
    state, _ = captured(1)
    for name in to_tree(state):
        tree = to_tree(state)
        del tree[name]
        with pytest.raises((TypeError, KeyError)):
            from_tree(tree)
