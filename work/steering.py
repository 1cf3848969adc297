"""What a training child is told, when it is given up on, and what its last word means."""

from __future__ import annotations

import time

from schema import Request, Run, RunError
from work.messages import Ended
from work.process import Child
from work.signals import Stop
from work.stacks import Stacks
from work.watch import Watch, stalled, timed_out


class Steering:
    """Steers one child: by the worker's signals, by what is asked of the run, and by its limits."""

    def __init__(
        self, child: Child, run: Run, stop: Stop, stacks: Stacks, *, stall_s: float, left_s: float | None
    ) -> None:
        self._child = child
        self._timeout_s = run.options.timeout_s or 0.0
        self._stop = stop
        self._stacks = stacks
        self._stall_s = stall_s
        self._watch = Watch(child.pulse, stall_s=stall_s, left_s=left_s, now_s=time.monotonic())
        self._told: set[Request] = set()
        self._failure: RunError | None = None
        self.asked: Request | None = None
        """What somebody wants of the run. What the signals want is of the worker."""

    @property
    def is_stopping(self) -> bool:
        """Whether the child has been told to stop."""
        return bool(self._told)

    def note_life(self, *, has_spoken: bool) -> None:
        """Note whether the child moves."""
        self._watch.note(time.monotonic(), has_spoken=has_spoken)

    def steer(self, wish: Request | None, over_budget: str | None) -> Ended | None:
        """Tell the child what it has to know; an ending once it is not waited for any longer."""
        now_s = time.monotonic()
        if over_budget is not None:
            self._tell(Request.FINISH)
        if wish is not None:
            self.asked = wish
            self._tell(Request.PREEMPT)
            self._watch.begin_stop(wish, now_s)
        if self._watch.is_over_time(now_s) and not self.is_stopping:
            self._failure = timed_out(self._timeout_s)
            self._tell(Request.PREEMPT)
            self._watch.begin_stop(Request.PAUSE, now_s)
        if self._stop.is_set():
            self._tell(Request.PREEMPT)
            self._watch.hurry(now_s)
        return self._give_up(now_s)

    def judge(self, ended: Ended) -> Ended:
        """Return what the child's last word means: one that was stopped because of a failure has failed."""
        if ended.outcome == "stopped" and self._failure is not None:
            return Ended(outcome="failed", error=self._failure)
        return ended

    def _give_up(self, now_s: float) -> Ended | None:
        if self._stop.is_at_once:
            return self.judge(Ended(outcome="stopped", reason="The worker was stopped at once."))
        if self._watch.is_out_of_patience(now_s, is_redis_away=self._stop.contact.is_silent):
            return self.judge(Ended(outcome="stopped", reason="The training did not stop in time."))
        if self._watch.is_stalled(now_s):
            stacks = self._child.ask_stacks(self._stacks)
            return Ended(outcome="failed", error=stalled(self._stall_s, stacks))
        return None

    def _tell(self, request: Request) -> None:
        if request not in self._told:
            self._told.add(request)
            self._child.ask(request)
