"""What running a job in one zone would come to, by its policy; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from carbon_aware_trainer.plans import Job, Plan, Window
from carbon_aware_trainer.strategies import adaptive, threshold, weekly, windows
from carbon_aware_trainer.traces import HOUR, Forecast
from scheduling.intensities import Outlook
from schema import CarbonOptions

# A run does not stop for a little more than its threshold, and does not move for a little less.
BAND = 0.05


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job in one zone. is_forced: it has to run for its deadline. limit: of the policy threshold."""

    zone: str
    outlook: Outlook
    forecast: Forecast
    plan: Plan
    runs_now: bool
    is_forced: bool
    limit_g_per_kwh: float | None = None

    @property
    def kind(self) -> tuple[str, str]:
        """What it can be compared with: provider and basis."""
        return self.forecast.provider, self.forecast.basis

    def cost(self, duration: timedelta) -> float:
        """Return what work of that length emits, in g per kW."""
        return self.plan.g_per_kwh * (duration / HOUR)


def assess(job: Job, outlook: Outlook, options: CarbonOptions, *, at: datetime) -> Candidate | str:
    """Return what a job that may begin ``at`` would come to in a zone, or why nothing can be planned.

    The job's deadline is the one to plan with: without the margin that is kept.
    """
    forecast = weekly.extended(outlook.forecast, outlook.trace, until=job.deadline)
    if forecast is not None:
        at = max(at, forecast.start)  # the slot of ``at`` may have ended while it was fetched
    if forecast is not None and at >= forecast.end:
        return f"its forecast ends at {forecast.end:%Y-%m-%d %H:%M} UTC, before it may start"
    trouble = windows.trouble_of(forecast, now=at, duration=job.duration)
    if forecast is None or trouble is not None:
        return outlook.reason or trouble or "no forecast is known"
    is_forced = job.deadline - at - forecast.step < job.duration
    if is_forced:
        return Candidate(outlook.zone, outlook, forecast, straight(job, forecast, at), True, True)
    if options.policy == "threshold":
        return _by_threshold(job, outlook, forecast, options, at)
    runs_now = adaptive.decide(job, forecast, now=at, again_in=forecast.step).action == "run"
    plan = adaptive.plan(job, forecast, now=at)
    later = _next_slot(forecast, at)
    if not runs_now and plan.start <= at:
        if windows.trouble_of(forecast, now=later, duration=job.duration) is not None:
            return Candidate(outlook.zone, outlook, forecast, plan, True, False)
        run_now = straight(job, forecast, at).g_per_kwh
        plan = replace(adaptive.plan(job, forecast, now=later), run_now_g_per_kwh=run_now)
    return Candidate(outlook.zone, outlook, forecast, plan, runs_now, False)


def straight(job: Job, forecast: Forecast, at: datetime) -> Plan:
    """Return the plan of running at once, in one piece."""
    return windows.best_window(forecast, now=at, duration=job.duration, deadline=at + job.duration)


def next_slot(forecast: Forecast | None, at: datetime, *, otherwise: timedelta) -> datetime:
    """Return when the slot after the one that holds ``at`` begins: when to plan again."""
    return at + otherwise if forecast is None else _next_slot(forecast, at)


def _next_slot(forecast: Forecast, at: datetime) -> datetime:
    return forecast.start + ((at - forecast.start) // forecast.step + 1) * forecast.step


def _by_threshold(
    job: Job, outlook: Outlook, forecast: Forecast, options: CarbonOptions, at: datetime
) -> Candidate | str:
    if options.threshold is not None:
        limits = threshold.Threshold(options.threshold * (1 + BAND), options.threshold)
    elif outlook.trace is not None:
        limits = threshold.from_history(outlook.trace, band=BAND)
    else:
        return "no threshold is known: nothing is recorded of the zone yet"
    slots = windows.slots_until(forecast, now=at, deadline=job.deadline)
    in_force = float(slots.g_per_kwh[0])
    decision, _ = threshold.decide(
        job, in_force, limits, threshold.State(is_running=job.is_running), now=at, again_in=forecast.step
    )
    runs_now = decision.action == "run"
    expected = straight(job, forecast, at) if runs_now else _first_clean(job, forecast, slots, limits, at)
    return Candidate(outlook.zone, outlook, forecast, expected, runs_now, False, limits.resume_g_per_kwh)


def _first_clean(
    job: Job, forecast: Forecast, slots: windows.Slots, limits: threshold.Threshold, at: datetime
) -> Plan:
    """Return the start at the first slot that is forecast to be clean, else as late as is in time."""
    last = min(job.deadline, forecast.end) - job.duration
    clean = np.flatnonzero(slots.g_per_kwh <= limits.resume_g_per_kwh)
    first = next((slots.start[i] for i in clean if slots.start[i] > at), last)
    start = min(first, last)
    piece = windows.best_window(forecast, now=start, duration=job.duration, deadline=start + job.duration)
    window = Window(start, start + job.duration, piece.g_per_kwh)
    now = straight(job, forecast, at)
    return Plan((window,), piece.g_per_kwh, now.g_per_kwh, "")
