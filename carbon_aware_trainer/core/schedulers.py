"""Who decides whether a training runs or waits, and remembers every decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from carbon_aware_trainer.core.config import BAND, TrainingConfig
from carbon_aware_trainer.core.decisions import DecisionLog
from carbon_aware_trainer.core.histories import History, as_trace
from carbon_aware_trainer.errors import CarbonError, IntensityUnavailable, NoFeasibleStart
from carbon_aware_trainer.forecasting import Fitted, fit, learning
from carbon_aware_trainer.forecasting.hours import hour_of
from carbon_aware_trainer.forecasting.learning import Learned
from carbon_aware_trainer.plans import Decision, Job, Plan
from carbon_aware_trainer.providers.asking import utc_now
from carbon_aware_trainer.strategies import adaptive, threshold, weekly, windows
from carbon_aware_trainer.strategies.threshold import DEFAULT_PERCENTILE, State, Threshold
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

# Longer than any job: of one without a deadline.
_NEVER = timedelta(days=3650)
# A deadline further ahead is none: what the weeks usually have would put work off for ever.
_LAST_DEADLINE = timedelta(days=366)
# After the end of a forecast; further ahead no hour differs from that of the week before.
_FURTHEST = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the grid at a moment; ``trouble`` says why something is not."""

    g_per_kwh: float | None = None
    forecast: Forecast | None = None
    trouble: str | None = None


class Scheduler(Protocol):
    """Decides from what is seen; one for each training."""

    needs_forecast: bool

    @property
    def needs_history(self) -> bool:
        """Whether it cannot decide before ``train``."""

    @property
    def decisions(self) -> DecisionLog:
        """What was decided, oldest first."""

    def train(self, history: History) -> None:
        """Learn from a zone's own past."""

    def decide(self, seen: Seen, job: Job, *, now: datetime, again_in: timedelta = HOUR) -> Decision:
        """Say whether to run now or to wait until asked again in ``again_in``."""


class RunNow:
    """Waits for nothing."""

    needs_forecast = False
    needs_history = False

    def __init__(self, reason: str = "Waiting is switched off.") -> None:
        """Take why."""
        self.decisions = DecisionLog()
        self._reason = reason

    def train(self, history: History) -> None:
        """Learn nothing."""

    def decide(self, seen: Seen, _job: Job, *, now: datetime, again_in: timedelta = HOUR) -> Decision:  # noqa: ARG002
        """Run."""
        return self.decisions.add(Decision(now, "run", self._reason, seen.g_per_kwh))


class ThresholdScheduler:
    """Runs while the grid is clean enough, by g/kWh or, without any, by a percentile of the zone's history.

    Thresholds as in TrainingConfig; max_pause: of all pauses together.
    """

    needs_forecast = False

    def __init__(
        self,
        carbon_threshold: float | None = None,
        *,
        pause_threshold: float | None = None,
        resume_threshold: float | None = None,
        percentile: float = DEFAULT_PERCENTILE,
        max_pause_hours: float | None = None,
    ) -> None:
        """Raises CarbonError for thresholds that contradict each other."""
        config = TrainingConfig(
            carbon_threshold=carbon_threshold,
            pause_threshold=pause_threshold,
            resume_threshold=resume_threshold,
            percentile=percentile,
            max_pause_hours=max_pause_hours,
        )
        self.decisions = DecisionLog()
        self._config, self._state, self._has_run = config, State(), False
        self._limits = _limits(config)

    @property
    def needs_history(self) -> bool:
        """Whether there is no threshold yet."""
        return self._limits is None

    def train(self, history: History) -> None:
        """Take the percentile of a zone's past as threshold, unless one was given."""
        if self._config.has_threshold:
            return
        trace = as_trace(history)
        learned = threshold.from_history(
            trace, percentile=self._config.percentile, band=BAND, max_pause=self._config.max_pause
        )
        self._limits = (learned.resume_g_per_kwh, learned)

    def decide(
        self, seen: Seen, job: Job | None = None, *, now: datetime | None = None, again_in: timedelta = HOUR
    ) -> Decision:
        """Say whether to run now or to wait; an unknown intensity, or no threshold yet, runs now."""
        now = now or utc_now()
        job = job or Job(timedelta(), now + _NEVER, is_interruptible=True)
        if self._limits is None:
            reason = f"No threshold is known, for want of a history. It runs now. {seen.trouble or ''}"
            return self.decisions.add(Decision(now, "run", reason.strip(), seen.g_per_kwh))
        start, limits = self._limits
        if not self._has_run:
            limits = replace(limits, resume_g_per_kwh=start)
        decision, self._state = threshold.decide(
            job, seen.g_per_kwh, limits, self._state, now=now, again_in=again_in
        )
        self._has_run = self._has_run or decision.action == "run"
        if seen.g_per_kwh is None and seen.trouble:
            decision = replace(decision, reason=f"{decision.reason} {seen.trouble}")
        return self.decisions.add(decision)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """When to run, as things stand, and whether that is now. ``plan`` is None when nothing is known."""

    decision: Decision
    plan: Plan | None

    @property
    def start(self) -> datetime:
        """When to start."""
        return self.decision.at if self.plan is None else self.plan.start

    @property
    def should_run(self) -> bool:
        """Whether that is now."""
        return self.decision.action == "run"

    @property
    def reason(self) -> str:
        """Why, in a sentence or two."""
        return self.decision.reason


class AdaptiveScheduler:
    """Runs in the hours that are forecast to be the cleanest before the deadline, decided anew every time.

    It learns how far off the forecasts it was given were, and takes that off where the past proves it. What a
    forecast does not reach, or a missing one, is what the weeks of the history it learned usually have.
    """

    needs_forecast = True
    needs_history = False

    def __init__(self) -> None:
        """Start without a history: with a forecast at hand none is needed."""
        self.decisions = DecisionLog()
        self._history: Trace | None = None
        self._fitted: Fitted | None = None
        self._of: tuple[str, str, str] | None = None
        self._learned, self._heard = Learned(), -1

    @property
    def method(self) -> str | None:
        """What it forecasts with; None before ``train``."""
        return None if self._fitted is None else self._fitted.method

    def train(self, history: History) -> None:
        """Fit the forecast on a zone's past, which is chosen by back-test. Raises IntensityUnavailable."""
        self._history = as_trace(history)
        self._fitted = fit(self._history)

    def recommend(
        self,
        job_duration: timedelta | float,
        deadline: datetime,
        *,
        now: datetime | None = None,
        interruptible: bool = False,
        forecast: Forecast | None = None,
    ) -> Recommendation:
        """Say when to run ``job_duration`` (a timedelta, or hours) so that it is done by ``deadline``.

        now: by default the time of day, or where a history that was trained on ends. Without a forecast or a
        fresh enough history it recommends now. Raises NoFeasibleStart when it does not fit, CarbonError for a
        deadline without its offset.
        """
        if deadline.tzinfo is None:
            raise CarbonError("Give the deadline with its offset, such as datetime(…, tzinfo=UTC).")
        duration = job_duration if isinstance(job_duration, timedelta) else job_duration * HOUR
        at = now or (utc_now() if self._history is None else min(utc_now(), self._history.end))
        if at + duration > deadline:
            raise NoFeasibleStart(
                f"{duration / HOUR:g} h of work do not fit before {deadline:%Y-%m-%d %H:%M}. Allow more time."
            )
        job = Job(duration, deadline, is_interruptible=interruptible)
        known = self._known(Seen(forecast=forecast), at, job)
        decision = self.decisions.add(adaptive.decide(job, known, now=at))
        trouble = windows.trouble_of(known, now=at, duration=duration)
        plan = None if trouble is not None else adaptive.plan(job, known, now=at)
        return Recommendation(decision, plan)

    def decide(self, seen: Seen, job: Job, *, now: datetime, again_in: timedelta = HOUR) -> Decision:
        """Say whether to run now or to wait; without a forecast it runs."""
        forecast = self._known(seen, now, job)
        decision = adaptive.decide(job, forecast, now=now, again_in=again_in)
        if forecast is None and seen.trouble:
            decision = replace(decision, reason=f"{decision.reason} {seen.trouble}")
        if seen.g_per_kwh is not None:
            decision = replace(decision, g_per_kwh=seen.g_per_kwh)
        return self.decisions.add(decision)

    def _known(self, seen: Seen, now: datetime, job: Job) -> Forecast | None:
        """Return the forecast that was given, corrected, else its own; towards the deadline."""
        if seen.forecast is None:
            return self._expect(now, job)
        given = self._corrected(seen.forecast, seen.g_per_kwh, now)
        return weekly.extended(given, self._history, until=_reach(job, now, given.end))

    def _expect(self, at: datetime, job: Job) -> Forecast | None:
        """Return a forecast from the history it was trained on, or else what its weeks usually have.

        None without a history, or with one that ended too long before ``at``.
        """
        if self._fitted is None or self._history is None:
            return None
        try:
            made = self._fitted.forecast(self._history, at, None)
        except IntensityUnavailable:
            return weekly.usual(self._history, now=at, until=_reach(job, at, at))
        return weekly.extended(made, self._history, until=_reach(job, at, made.end))

    def _corrected(self, given: Forecast, g_per_kwh: float | None, now: datetime) -> Forecast:
        """Take off how far off forecasts of this kind were; remember this one to judge it later."""
        kind = (given.zone, given.provider, given.basis)
        if kind != self._of:
            self._of, self._learned, self._heard = kind, Learned(), -1
        hour = hour_of(now)
        if HOUR % given.step or given.start > now or not np.isfinite(given.g_per_kwh).all():
            return given
        if g_per_kwh is not None and hour > self._heard:
            self._learned, self._heard = learning.observe(self._learned, hour, g_per_kwh), hour
        better = learning.corrected(self._learned, given, hour)
        self._learned = learning.remember(self._learned, hour, learning.by_hour(given, hour))
        return better


def scheduler_of(config: TrainingConfig) -> Scheduler:
    """Return the scheduler of a policy."""
    if config.policy == "run now":
        return RunNow()
    if config.policy == "adaptive":
        return AdaptiveScheduler()
    return ThresholdScheduler(
        config.carbon_threshold,
        pause_threshold=config.pause_threshold,
        resume_threshold=config.resume_threshold,
        percentile=config.percentile,
        max_pause_hours=config.max_pause_hours,
    )


def _reach(job: Job, now: datetime, end: datetime) -> datetime:
    """Return up to when a forecast that ends at ``end`` is extended: no further without a deadline."""
    least = max(end, now + job.duration)
    return least if job.deadline - now > _LAST_DEADLINE else min(job.deadline, least + _FURTHEST)


def _limits(config: TrainingConfig) -> tuple[float, Threshold] | None:
    start, pause, resume = config.start_g_per_kwh, config.pause_g_per_kwh, config.resume_g_per_kwh
    if start is None or pause is None or resume is None:
        return None
    return start, Threshold(pause, resume, config.max_pause)
