"""How long a worker waits for a child: whether it moves, stops when asked, and ends in time."""

from __future__ import annotations

import pytest

from schema import Request
from work.pulse import CELLS, Pulse
from work.watch import PATIENCE_S, SAVE_STALLS, SHORT_S, Watch


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


def gives_up(watched: Watch, now_s: float, *, is_redis_away: bool = False) -> bool:
    return watched.is_out_of_patience(now_s, is_redis_away=is_redis_away)


@pytest.mark.parametrize("is_redis_away", [False, True])
@pytest.mark.parametrize(
    ("request_", "patience_s"),
    [(Request.PREEMPT, PATIENCE_S), (Request.CANCEL, SHORT_S), (Request.PAUSE, PATIENCE_S)],
)
def test_a_child_that_does_not_stop_is_given_up_on(
    pulse: Pulse, request_: Request, patience_s: float, is_redis_away: bool
) -> None:
    watched = watch(pulse)
    assert not gives_up(watched, 1e9, is_redis_away=is_redis_away)
    watched.begin_stop(request_, 200.0)
    watched.begin_stop(request_, 201.0)  # told every half second; the first counts
    assert not gives_up(watched, 200.0 + patience_s, is_redis_away=is_redis_away)
    assert gives_up(watched, 200.1 + patience_s, is_redis_away=is_redis_away)


def test_a_worker_that_ends_waits_as_long_as_redis_answers(pulse: Pulse) -> None:
    watched = watch(pulse)
    watched.hurry(200.0)
    watched.hurry(201.0)  # told at each look; the first counts
    assert not gives_up(watched, 200.0 + PATIENCE_S)
    assert gives_up(watched, 200.1 + PATIENCE_S)
    assert not gives_up(watched, 200.0 + SHORT_S, is_redis_away=True)
    assert gives_up(watched, 200.1 + SHORT_S, is_redis_away=True)


def test_a_save_that_is_under_way_is_waited_for_also_while_redis_is_away(pulse: Pulse) -> None:
    watched = watch(pulse)
    watched.hurry(200.0)
    with pulse.saving():
        assert not gives_up(watched, 200.0 + PATIENCE_S, is_redis_away=True)
        assert gives_up(watched, 200.1 + PATIENCE_S, is_redis_away=True)
    assert gives_up(watched, 200.1 + SHORT_S, is_redis_away=True)


def test_a_worker_that_stops_adds_no_time_to_that_of_a_run_that_is_being_paused(pulse: Pulse) -> None:
    watched = watch(pulse)
    watched.begin_stop(Request.PAUSE, 200.0)
    watched.hurry(205.0)
    assert not gives_up(watched, 205.0 + SHORT_S, is_redis_away=True)
    assert gives_up(watched, 205.1 + SHORT_S, is_redis_away=True)
    assert not gives_up(watched, 200.0 + PATIENCE_S)
    assert gives_up(watched, 200.1 + PATIENCE_S)
