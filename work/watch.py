"""When a worker's patience with a training child is over."""

from __future__ import annotations

from schema import Request, RunError
from work.pulse import Pulse

# How long a child may take to its next step boundary, an evaluation or a compilation included, and to save.
PATIENCE_S = 10.0
# The same where it has nothing to save, or the worker ends and Redis is away: then 3 s are all it has.
SHORT_S = 2.0
# A save makes no step and is at the mercy of a place: it hangs only after so many times ``stall_s``.
SAVE_STALLS = 10


class Watch:
    """Watches one child: whether it moves, whether it stops when asked, whether its time is over.

    ``stall_s`` 0 is without end. ``left_s``: how long it may train, None for any time.
    """

    def __init__(self, pulse: Pulse, *, stall_s: float, left_s: float | None, now_s: float) -> None:
        self._pulse = pulse
        self._stall_s = stall_s
        self._end_s = None if left_s is None else now_s + left_s
        self._beats = pulse.beats
        self._moved_s = now_s
        self._asked: tuple[Request, float] | None = None
        self._hurried_s: float | None = None

    def note(self, now_s: float, *, has_spoken: bool) -> None:
        """Note a sign of life, if there is one: a new step, or a message."""
        beats = self._pulse.beats
        if has_spoken or beats != self._beats:
            self._beats, self._moved_s = beats, now_s

    def is_stalled(self, now_s: float) -> bool:
        """Say whether there was no sign of life for ``stall_s``, or SAVE_STALLS times that while it saves."""
        limit_s = self._stall_s * (SAVE_STALLS if self._pulse.is_saving else 1)
        return 0 < limit_s < now_s - self._moved_s

    def is_over_time(self, now_s: float) -> bool:
        """Say whether it has trained for as long as it may."""
        return self._end_s is not None and now_s >= self._end_s

    def begin_stop(self, request: Request, now_s: float) -> None:
        """Count from now, where it is not counted already."""
        self._asked = self._asked or (request, now_s)

    def hurry(self, now_s: float) -> None:
        """Note that the worker is to end; the first time counts."""
        self.begin_stop(Request.PREEMPT, now_s)
        self._hurried_s = self._hurried_s or now_s

    def is_out_of_patience(self, now_s: float, *, is_redis_away: bool) -> bool:
        """Say whether it should have stopped by now."""
        if self._asked is None:
            return False
        request, asked_s = self._asked
        limit_s = SHORT_S if request is Request.CANCEL else PATIENCE_S
        if now_s - asked_s > limit_s:
            return True
        is_short = self._hurried_s is not None and is_redis_away and not self._pulse.is_saving
        return is_short and now_s - (self._hurried_s or now_s) > SHORT_S


def stalled(stall_s: float, stacks: str | None) -> RunError:
    """Return the error of a child that no longer moves."""
    return RunError(
        kind="Stalled",
        message=f"The training made no step and said nothing for {stall_s:g} s; it was ended.",
        traceback=stacks,
        is_retryable=True,
    )


def timed_out(timeout_s: float) -> RunError:
    """Return the error of a run whose time is over."""
    return RunError(
        kind="TimedOut",
        message=(
            f"The run took longer than its options.timeout_s of {timeout_s:g} s, all attempts together. "
            "Submit it again with a larger one, or without."
        ),
    )
