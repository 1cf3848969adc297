"""Where the time of a step goes, noted without changing a bit of the training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.unit.test_loop import RecordingControl, make_data, params, start
from trainers.loop import train
from trainers.step_profile import PHASES, PROFILED_STEPS, StepProfile
from trainers.training import Training


def stopwatch(phases_ms: tuple[float, ...]) -> Callable[[], int]:
    """A clock by which the phases of every step take these times, and what lies between two steps 100 ms."""
    now_ns, reads = 0, 0

    def clock() -> int:
        nonlocal now_ns, reads
        place = reads % (len(phases_ms) + 1)
        now_ns += round(1e6 * (100 if place == 0 else phases_ms[place - 1]))
        reads += 1
        return now_ns

    return clock


def learn(training: Training, steps: int) -> None:
    for _ in range(steps):
        training.learn_batch()


def test_the_phases_of_a_step_are_told_apart() -> None:
    training = Training(start(), make_data(160), params(batch_size=8))
    profile = StepProfile(training, clock=stopwatch((1, 2, 4, 0.5)))
    learn(training, 12)
    assert profile.end() == {
        "step_data_ms": 1.0,
        "step_forward_ms": 2.0,
        "step_backward_ms": 4.0,
        "step_optimizer_ms": 0.5,
        "profiled_steps": 7,  # five are warm-up
    }


@pytest.mark.parametrize(
    ("images", "profiled"),
    [(8, None), (16, 1), (48, 4), (160, 15), (400, PROFILED_STEPS)],  # batches of 8
)
def test_a_third_of_a_short_epoch_is_warm_up_and_a_long_one_gives_twenty_steps(
    images: int, profiled: int | None
) -> None:
    control = RecordingControl()
    list(train(start(), make_data(images), params(batch_size=8, num_epochs=2), control=control))
    assert control.facts[0].get("profiled_steps") == profiled
    assert not any("profiled_steps" in facts for facts in control.facts[1:])
    if profiled:
        assert all(control.facts[0][f"step_{phase}_ms"] for phase in PHASES)


def test_after_its_end_a_profile_notes_nothing_more() -> None:
    training = Training(start(), make_data(160), params(batch_size=8))
    reads = 0

    def clock() -> int:
        nonlocal reads
        reads += 1
        return reads

    profile = StepProfile(training, clock=clock)
    learn(training, 3)
    profile.end()
    learn(training, 3)
    assert reads == 15


def test_a_resumed_attempt_is_not_profiled() -> None:
    data = make_data(160)
    first = Training(start(), data, params())
    learn(first, 2)
    control = RecordingControl()
    list(train(start(), data, params(), control=control, resume=first.capture()))
    assert not any("profiled_steps" in facts for facts in control.facts)


def test_a_profile_changes_no_bit() -> None:
    data = make_data(160)
    trained = []
    for is_profiled in (True, False):
        network = start("resnet9")
        training = Training(network, data, params(batch_size=8, dropout=0.5))
        if is_profiled:
            StepProfile(training)
        learn(training, 15)
        trained.append(network.state_dict())
    assert all(torch.equal(trained[0][name], value) for name, value in trained[1].items())
