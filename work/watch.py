"""When a worker's patience with a training child is over."""

from __future__ import annotations

from schema import Request, RunError
from work.pulse import Pulse

# How long a child may take to its next step boundary: where the worker or the run is to end, else longer.
STOP_S, PAUSE_S = 2.0, 10.0
# A save that is under way, or steps that take long, are waited for as long as this.
MOST_S = 10.0
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
        """Be as impatient as with a worker that ends, from now on at the latest."""
        if self._asked is None or self._asked[0] in (Request.PAUSE, Request.CANCEL):
            self._asked = (Request.PREEMPT, now_s)

    def is_out_of_patience(self, now_s: float) -> bool:
        """Say whether it should have stopped by now."""
        if self._asked is None:
            return False
        request, asked_s = self._asked
        return now_s - asked_s > self._patience_s(request)

    def _patience_s(self, request: Request) -> float:
        if request is Request.CANCEL:
            return STOP_S  # nothing that it could still save is wanted
        least_s = PAUSE_S if request is Request.PAUSE else STOP_S
        slow_s = MOST_S if self._pulse.is_saving else min(MOST_S, 2 * self._pulse.step_s)
        return max(least_s, slow_s)


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
