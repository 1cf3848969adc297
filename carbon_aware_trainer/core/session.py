"""What any training does about carbon: wait before a step, measure, and know what it cost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from carbon_aware_trainer.core.account import HOLD, Account, Totals
from carbon_aware_trainer.core.clock import Clock
from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.decisions import DecisionLog
from carbon_aware_trainer.core.gauge import Gauge
from carbon_aware_trainer.core.metrics import CarbonMetrics, amounts_of
from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.core.own_forecast import HISTORY, LAST_DAY
from carbon_aware_trainer.core.schedulers import RunNow, Scheduler, Seen
from carbon_aware_trainer.core.taking import (
    AskForecast,
    AskHistory,
    AskIntensity,
    Call,
    Listener,
    Sleep,
    State,
    StateChange,
    Steps,
    Taker,
    Tell,
)
from carbon_aware_trainer.errors import CarbonError, KeyRefused, ProviderDown
from carbon_aware_trainer.plans import Action, Decision, Job
from carbon_aware_trainer.providers.patience import Budget
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.strategies.adaptive import OVERRUN
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

log = logging.getLogger(__name__)
# A look at the grid, all questions of it together: 2 % of the usual five minutes between two of them.
LOOK_S = 5.0
# A year by pages of ten days, or what lacks at the end; one that is down is given up on sooner.
RECORD_S = 60.0
_NEVER = timedelta(days=3650)
_LONGEST_FORECAST_H = 96.0


@dataclass(frozen=True, slots=True)
class _Mark:
    """A moment on both clocks."""

    at: datetime
    at_ns: int


class CarbonSession:
    """One training, from its begin to its end. Every method with steps has a twin for event loops.

    Pauses come before a step, never in one. A provider, a meter or a listener that fails never ends or delays
    a training: it then runs, and says why.
    """

    def __init__(
        self,
        monitor: CarbonMonitor,
        scheduler: Scheduler,
        config: TrainingConfig,
        *,
        gauge: Gauge,
        clock: Clock,
        drain: Callable[[], None] | None = None,
    ) -> None:
        """Take whom to ask, who decides, what to measure with, and what waits for a device's queued work."""
        self.scheduler, self.config = scheduler, config
        self._monitor, self._gauge, self._clock, self._drain = monitor, gauge, clock, drain
        self._taker = Taker(monitor, clock)
        self._account = Account(monitor.regions[0], monitor.provider.name, monitor.provider.basis)
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._state: State | None = None
        self._intensity: Intensity | None = None
        self._forecast: Forecast | None = None
        self._mark: _Mark | None = None
        self._check_ns = 0
        self._override: RunNow | None = None
        self._is_over = False
        self.pauses = self.steps = 0

    @property
    def state(self) -> State | None:
        """What it does; None before its first step."""
        return self._state

    @property
    def decisions(self) -> DecisionLog:
        """What the scheduler decided, oldest first."""
        return self.scheduler.decisions

    def on_state_change(self, listener: Listener) -> Listener:
        """Tell a function, which may be async, of every change: running, paused or stopped, and why."""
        self._listeners.append(listener)
        return listener

    def run_now(self, reason: str = "Run now was asked for.") -> None:
        """Wait no more, from this moment on; from any thread, also while it waits."""
        self._override = RunNow(reason)
        self._check_ns = 0
        self._clock.wake()

    def open(self) -> None:
        """Begin to measure."""
        self._taker.run(self._open())

    async def aopen(self) -> None:
        """Begin to measure."""
        await self._taker.arun(self._open())

    def before_step(self) -> None:
        """Wait until the training may run. Costs next to nothing between two looks at the grid."""
        self.steps += 1
        if self._is_due():
            self._taker.run(self._wait_until_clean())

    async def abefore_step(self) -> None:
        """Wait until the training may run."""
        self.steps += 1
        if self._is_due():
            await self._taker.arun(self._wait_until_clean())

    def poll(self) -> Action:
        """Say whether to run, looking at the grid where that is due; the caller does the waiting."""
        if self._is_due():
            return self._taker.run(self._poll())
        return "wait" if self._state == "paused" else "run"

    def close(self, reason: str = "The training is done.") -> None:
        """Measure no more. Does nothing when it is closed already."""
        if not self._is_over:
            self._taker.run(self._close(reason))

    async def aclose(self, reason: str = "The training is done.") -> None:
        """Measure no more."""
        if not self._is_over:
            await self._taker.arun(self._close(reason))

    def totals(self) -> Totals:
        """Return the sums up to now."""
        with self._lock:
            self._settle()
            return self._account.totals()

    def metrics(self) -> CarbonMetrics:
        """Return what the training cost up to now."""
        now = self._intensity
        return CarbonMetrics(
            **amounts_of(self.totals()),
            current_intensity=None if now is None else now.g_per_kwh,
            pauses=self.pauses,
            steps=self.steps,
            state=self._state or "not started",
            region=self._monitor.regions[0],
            provider=self._monitor.provider.name if now is None else now.provider,
            basis=self._monitor.provider.basis,
        )

    def _is_due(self) -> bool:
        return not self._is_over and self._clock.monotonic_ns() >= self._check_ns

    def _open(self) -> Steps[None]:
        yield Call(self._gauge.start)
        self._mark = _Mark(self._clock.now(), self._clock.monotonic_ns())
        budget = Budget(RECORD_S)
        try:
            if self.scheduler.needs_history:
                self.scheduler.train((yield from self._history(self._mark.at, budget)))
            if self.scheduler.needs_forecast:  # whose year of history no look has the time for
                yield from self._renew_forecast(budget)
        except CarbonError as err:
            log.warning("no threshold or forecast region=%s: %s", self._monitor.regions[0], err)

    def _history(self, now: datetime, budget: Budget) -> Steps[Trace]:
        """Ask for the last year, or for the last day where the key does not show more."""
        try:
            history: Trace = yield AskHistory(now - HISTORY, now + HOUR, budget)
        except KeyRefused:
            history = yield AskHistory(now - LAST_DAY, now + HOUR, budget)
        return history

    def _wait_until_clean(self) -> Steps[None]:
        while (yield from self._poll()) == "wait":
            # run_now() may have been called since, by a listener say
            yield Sleep(0.0 if self._is_due() else self.config.check_interval)

    def _poll(self) -> Steps[Action]:
        """Book what was used, look at the grid, and change where the decision says so."""
        yield Call(self._settle)
        decision = yield from self._look()
        if decision.action == "wait" and self._state != "paused":
            self.pauses += 1
            yield from self._change("paused", decision)
        elif decision.action == "run" and self._state != "running":
            yield from self._change("running", decision)
        return decision.action

    def _look(self) -> Steps[Decision]:
        """Look at the grid and decide."""
        seen = yield from self._see(self._override or self.scheduler)
        now, again_in = self._clock.now(), timedelta(seconds=self.config.check_interval)
        self._check_ns = self._clock.monotonic_ns() + round(self.config.check_interval * 1e9)
        job = self._job(now)
        # read after the next check was set: run_now() during the look is heard here, later it sets the check
        scheduler = self._override or self._overrun(job) or self.scheduler
        decision = scheduler.decide(seen, job, now=now, again_in=again_in)
        if scheduler is not self.scheduler:
            self.scheduler.decisions.add(decision)
        return decision

    def _see(self, scheduler: Scheduler) -> Steps[Seen]:
        trouble, g_per_kwh, budget = None, None, Budget(LOOK_S)
        try:
            intensity: Intensity = yield AskIntensity(budget)
            with self._lock:
                self._account.observe(intensity, self._clock.now())
            self._intensity, g_per_kwh = intensity, intensity.g_per_kwh
        except CarbonError as err:
            self._intensity, trouble = None, str(err)
        if scheduler.needs_forecast:
            try:
                yield from self._renew_forecast(budget)
            except CarbonError as err:
                trouble = str(err)
                if not self._still_holds(err):
                    self._forecast = None
        return Seen(g_per_kwh, self._forecast, trouble)

    def _renew_forecast(self, budget: Budget) -> Steps[None]:
        """Ask for a forecast once in each of its slots."""
        now, held = self._clock.now(), self._forecast
        if held is not None and held.start <= now < held.start + held.step:
            return
        left = self.config.deadline - now if self.config.deadline else HOUR
        hours = min(_LONGEST_FORECAST_H, max(1.0, left / HOUR, self.config.duration / HOUR) + 1)
        self._forecast = yield AskForecast(hours, budget)

    def _still_holds(self, err: CarbonError) -> bool:
        """Say whether the forecast of earlier may stand in while nobody answers, as values do."""
        now, held = self._clock.now(), self._forecast
        is_young = held is not None and now < held.end and now - held.made_at < HOLD
        return is_young and isinstance(err, ProviderDown)

    def _job(self, now: datetime) -> Job:
        with self._lock:
            left = self.config.duration - self._account.running
        return Job(
            max(left, timedelta()),
            self.config.deadline or now + _NEVER,
            is_interruptible=self.config.interruptible,
            is_running=self._state == "running",
            resume_cost=self.config.resume_cost_hours * HOUR,
        )

    def _overrun(self, job: Job) -> RunNow | None:
        """Return who decides once more was run than was estimated: how much is left is not known any more."""
        return RunNow(OVERRUN) if self.config.duration and not job.duration else None

    def _change(self, state: State, decision: Decision) -> Steps[None]:
        self._state = state
        change = StateChange(state, decision.reason, decision.at, decision.g_per_kwh)
        log.info("training %s region=%s: %s", state, self._monitor.regions[0], decision.reason)
        for listener in tuple(self._listeners):
            yield Tell(listener, change)

    def _close(self, reason: str) -> Steps[None]:
        yield Call(self._settle)
        self._is_over = True
        yield Call(self._gauge.stop)
        yield from self._fill_gap()
        in_force = None if self._intensity is None else self._intensity.g_per_kwh
        yield from self._change("stopped", Decision(self._clock.now(), "wait", reason, in_force))

    def _fill_gap(self) -> Steps[None]:
        """Take the record of a time in which the provider said nothing, once it does."""
        gap = self._account.gap()
        if gap is None:
            return
        try:
            record: Trace = yield AskHistory(gap[0] - HOUR, gap[1] + HOUR, Budget(RECORD_S))
            self._account.take_record(record)
        except CarbonError as err:
            log.warning("no intensities of a part of the training: %s", err)

    def _settle(self) -> None:
        """Book what was used since the last time."""
        with self._lock:
            if self._mark is None or self._is_over:
                return
            if self._drain is not None:  # else what is queued would be charged to the pause that follows
                self._drain()
            now = _Mark(self._clock.now(), self._clock.monotonic_ns())
            if now.at_ns <= self._mark.at_ns:
                return
            reading = self._gauge.reading(self._mark.at_ns, now.at_ns)
            self._account.book(
                self._mark.at, now.at, reading,
                is_running=self._state != "paused", is_begun=self._state is not None,
            )  # fmt: skip
            self._mark = now


def reason_of(kind: type[BaseException] | None, error: BaseException | None) -> str:
    """Say why a training is over."""
    if kind is None:
        return "The training is done."
    return f"The training ended with {kind.__name__}" + (f": {error}" if str(error) else ".")
