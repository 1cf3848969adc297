"""Trying batch sizes: what decides, what ends the trial, and that nothing of it is left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from schema import Measure, Request, Scalar, SpanEnergy, TrainingContext, measure_nothing
from tests.unit.test_loop import make_data, start
from trainers.batch_trial import LIMIT_S, fix_batch_size
from trainers.loop import train
from trainers.params import CnnHyperParams

JOULES_OF = {32: 4.0, 64: 2.0, 128: 3.0}
AUTO_PARAMS = CnnHyperParams(batch_size="auto", num_epochs=1, dropout=0.5, network="resnet9")


class Listener:
    """A Control that keeps what it is told, and asks for a stop at its ``stop_at``-th question."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.questions = stop_at, 0
        self.steps: set[int] = set()
        self.lines: list[str] = []
        self.facts: dict[str, Scalar] = {}

    def after_step(self, step: int) -> Request | None:
        self.questions += 1
        self.steps.add(step)
        return Request.PREEMPT if self.questions == self.stop_at else None

    def log(self, text: str) -> None:
        self.lines.append(text)

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        self.facts.update(facts)


def tick(step_s: float = 0.12) -> Callable[[], int]:
    """A clock that goes on by ``step_s`` whenever it is read."""
    now_ns = 0

    def clock() -> int:
        nonlocal now_ns
        now_ns += round(step_s * 1e9)
        return now_ns

    return clock


def meter_of(j_per_span: list[float | None]) -> tuple[Measure, list[tuple[int, int]]]:
    """A meter that has these readings, one after the other, and the spans it was asked for."""
    spans: list[tuple[int, int]] = []

    def measure(start_ns: int, end_ns: int) -> SpanEnergy:
        energy_j = j_per_span[len(spans)]
        spans.append((start_ns, end_ns))
        return SpanEnergy(
            energy_j, None if energy_j is None else "measured", "It hangs." * (energy_j is None)
        )

    return measure, spans


def context_of(control: Listener, measure: Measure = measure_nothing) -> TrainingContext:
    return TrainingContext(datasets_dir=Path("nowhere"), device="cpu", control=control, measure=measure)


def test_the_size_with_the_fewest_joules_is_taken_and_recorded() -> None:
    control, charges = Listener(), list[tuple[str, int, int]]()
    # The same number of steps with each size, so twice the images with the next: 3, 1 and 2 mJ per image.
    measure, spans = meter_of([3.0, 2.0, 8.0])
    context = replace(context_of(control, measure), charge=lambda *charge: charges.append(charge))
    fixed = fix_batch_size(start(), make_data(1100), AUTO_PARAMS, context, clock=tick())
    assert fixed is not None
    assert fixed.images_per_step == 64
    assert len(spans) == 3
    assert all(end_ns - start_ns >= 1e9 for start_ns, end_ns in spans)
    ((name, start_ns, end_ns),) = charges
    assert name == "batch_trial"
    assert start_ns < spans[0][0] < spans[-1][1] < end_ns
    assert control.facts["chosen_batch_size"] == 64
    assert control.facts["scaled_learning_rate"] == fixed.learning_rate == AUTO_PARAMS.learning_rate
    assert control.facts["batch_trial_by"] == "joules"
    table = str(control.facts["batch_trial"]).split("; ")
    assert [line.split(":")[0] for line in table] == ["32", "64", "128"]
    assert all(line.endswith("mJ") for line in table)
    assert len(control.lines) == 4  # one per size, and the choice


def test_without_a_meter_seconds_decide_and_the_run_says_so() -> None:
    control = Listener()
    measure, _ = meter_of([3.0, None, 8.0])
    fixed = fix_batch_size(start(), make_data(1100), AUTO_PARAMS, context_of(control, measure), clock=tick())
    assert fixed is not None
    assert fixed.images_per_step == 128
    assert control.facts["batch_trial_by"] == "seconds: It hangs."


@pytest.mark.parametrize("stop_at", [None, 7])
def test_a_trial_leaves_the_network_and_the_generator_as_they_were(stop_at: int | None) -> None:
    network = start("resnet9").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fix_batch_size(network, make_data(512), AUTO_PARAMS, context_of(Listener(stop_at)), clock=tick())

    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.training
    assert torch.equal(torch.rand(3), expected)


def test_a_run_after_a_trial_has_the_bits_of_one_with_that_size_and_rate() -> None:
    data, tried, plain = make_data(512), start("resnet9"), start("resnet9")
    fixed = fix_batch_size(tried, data, AUTO_PARAMS, context_of(Listener()), clock=tick())
    assert fixed is not None
    assert fixed.images_per_step == 64
    by_hand = AUTO_PARAMS.model_copy(update={"batch_size": 64, "learning_rate": fixed.learning_rate})

    list(train(tried, data, fixed, control=Listener()))
    list(train(plain, data, by_hand, control=Listener()))

    pairs = zip(tried.state_dict().values(), plain.state_dict().values(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_a_size_that_does_not_fit_ends_the_trial_and_not_the_run() -> None:
    control = Listener()
    # resnet9 keeps about 0.2 MB per image of 8 x 8: 32 images fit, 64 do not.
    fixed = fix_batch_size(
        start("resnet9"),
        make_data(1100),
        AUTO_PARAMS,
        context_of(control),
        limit_bytes=20_000_000,
        clock=tick(),
    )
    assert fixed is not None
    assert fixed.images_per_step == 32
    assert any(line.startswith("batch size 64 does not fit: A step takes about") for line in control.lines)


def test_where_the_smallest_size_does_not_fit_smaller_ones_are_tried() -> None:
    control = Listener()
    fixed = fix_batch_size(
        start("resnet9"),
        make_data(1100),
        AUTO_PARAMS,
        context_of(control),
        limit_bytes=4_000_000,
        clock=tick(),
    )
    assert fixed is not None
    assert fixed.images_per_step < 32
    with pytest.raises(torch.OutOfMemoryError):
        fix_batch_size(
            start("resnet9"), make_data(1100), AUTO_PARAMS, context_of(control), limit_bytes=1, clock=tick()
        )


def test_a_request_to_stop_ends_the_trial_without_a_choice() -> None:
    control, charges = Listener(stop_at=3), list[tuple[str, int, int]]()
    context = replace(context_of(control), charge=lambda *charge: charges.append(charge))
    assert fix_batch_size(start(), make_data(600), AUTO_PARAMS, context, clock=tick()) is None
    ((name, start_ns, end_ns),) = charges  # what it used until then is the run's all the same
    assert (name, end_ns > start_ns) == ("batch_trial", True)
    assert control.questions == 3
    assert control.steps == {0}  # no step of the run
    assert not control.facts


def test_two_sizes_in_a_row_that_are_worse_end_the_trial() -> None:
    measure, spans = meter_of([1.0, 4.0, 16.0, 64.0])
    fixed = fix_batch_size(
        start(), make_data(4200), AUTO_PARAMS, context_of(Listener(), measure), clock=tick()
    )
    assert fixed is not None
    assert fixed.images_per_step == 32
    assert len(spans) == 3


def test_a_slow_step_ends_the_trial_before_its_time_is_over() -> None:
    control, clock = Listener(), tick(1.5)
    measure, spans = meter_of([10.0] * 8)
    fix_batch_size(start(), make_data(4200), AUTO_PARAMS, context_of(control, measure), clock=clock)
    assert len(spans) < 5
    assert any("the time for it is over" in line for line in control.lines)
    assert spans[-1][1] / 1e9 < 2 * LIMIT_S
