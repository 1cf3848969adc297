"""How long a worker waits for a child: whether it moves, stops when asked, and ends in time."""

from __future__ import annotations

import pytest

from schema import Request
from work.pulse import CELLS, Pulse
from work.watch import MOST_S, PAUSE_S, SAVE_STALLS, STOP_S, Watch


def watch(pulse: Pulse, *, stall_s: float = 10.0, left_s: float | None = None) -> Watch:
    return Watch(pulse, stall_s=stall_s, left_s=left_s, now_s=100.0)


@pytest.fixture
def pulse() -> Pulse:
    return Pulse([0.0] * CELLS)


def test_a_child_that_makes_no_step_and_says_nothing_is_stalled(pulse: Pulse) -> None:
    watched = watch(pulse)
    watched.note(105.0, has_spoken=False)
    assert not watched.is_stalled(110.0)
    assert watched.is_stalled(110.1)


@pytest.mark.parametrize("sign", ["step", "message", "poll of a trainer without steps"])
def test_a_step_or_a_message_is_a_sign_of_life(pulse: Pulse, sign: str) -> None:
    watched = watch(pulse)
    if sign != "message":
        pulse.note_step(3 if sign == "step" else 0)
    watched.note(108.0, has_spoken=sign == "message")
    assert not watched.is_stalled(117.0)
    assert watched.is_stalled(118.1)


def test_a_long_save_is_no_hang_and_one_without_end_is(pulse: Pulse) -> None:
    watched = watch(pulse)
    with pulse.saving():
        assert not watched.is_stalled(100.0 + 10.0 * SAVE_STALLS)
        assert watched.is_stalled(100.1 + 10.0 * SAVE_STALLS)
    watched.note(150.0, has_spoken=False)
    assert not watched.is_stalled(160.0)
    assert watched.is_stalled(160.1)


def test_a_step_that_is_told_again_is_no_sign_of_life(pulse: Pulse) -> None:
    pulse.note_step(3)
    watched = watch(pulse)
    pulse.note_step(3)
    watched.note(108.0, has_spoken=False)
    assert watched.is_stalled(110.1)
    assert pulse.step == 3


def test_without_a_limit_nothing_stalls_or_ends(pulse: Pulse) -> None:
    watched = watch(pulse, stall_s=0)
    assert not watched.is_stalled(1e9)
    assert not watched.is_over_time(1e9)


def test_the_time_of_a_run_ends(pulse: Pulse) -> None:
    watched = watch(pulse, left_s=5.0)
    assert not watched.is_over_time(104.9)
    assert watched.is_over_time(105.0)


@pytest.mark.parametrize(
    ("request_", "patience_s"),
    [(Request.PREEMPT, STOP_S), (Request.CANCEL, STOP_S), (Request.PAUSE, PAUSE_S)],
)
def test_a_child_that_does_not_stop_is_given_up_on(
    pulse: Pulse, request_: Request, patience_s: float
) -> None:
    watched = watch(pulse)
    assert not watched.is_out_of_patience(1e9)
    watched.begin_stop(request_, 200.0)
    watched.begin_stop(request_, 201.0)  # told every half second; the first counts
    assert not watched.is_out_of_patience(200.0 + patience_s)
    assert watched.is_out_of_patience(200.1 + patience_s)


def test_a_save_that_is_under_way_is_waited_for(pulse: Pulse) -> None:
    watched = watch(pulse)
    watched.hurry(200.0)
    with pulse.saving():
        assert not watched.is_out_of_patience(200.0 + MOST_S)
        assert watched.is_out_of_patience(200.1 + MOST_S)
    assert watched.is_out_of_patience(200.1 + STOP_S)


def test_a_worker_that_stops_is_in_a_hurry_also_with_a_run_that_is_being_paused(pulse: Pulse) -> None:
    watched = watch(pulse)
    watched.begin_stop(Request.PAUSE, 200.0)
    watched.hurry(201.0)
    watched.hurry(202.0)
    assert not watched.is_out_of_patience(201.0 + STOP_S)
    assert watched.is_out_of_patience(201.1 + STOP_S)
