"""Run while the grid is cleaner than a threshold, with hysteresis and a limit to all pauses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.plans import Decision, Job
from carbon_aware_trainer.traces import HOUR, Trace

DEFAULT_PERCENTILE = 33.0


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above ``pause_g_per_kwh`` it pauses, at or below ``resume_g_per_kwh`` it starts or goes on.

    max_pause: of all pauses together, the wait for the start among them; None for no limit but the deadline.
    Raises ValueError when it would resume above where it pauses.
    """

    pause_g_per_kwh: float
    resume_g_per_kwh: float
    max_pause: timedelta | None = None

    def __post_init__(self) -> None:
        """Check the order."""
        if not self.resume_g_per_kwh <= self.pause_g_per_kwh:
            raise ValueError(
                f"It would pause above {self.pause_g_per_kwh:g} g/kWh and resume at {self.resume_g_per_kwh:g}, "
                "which is more. Set the threshold to resume to at most the one to pause."
            )


@dataclass(frozen=True, slots=True)
class State:
    """What the next decision has to know of those before. paused: all pauses, up to ``at``."""

    is_running: bool = False
    at: datetime | None = None
    paused: timedelta = timedelta()


def from_history(
    trace: Trace,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    band: float = 0.05,
    max_pause: timedelta | None = None,
) -> Threshold:
    """Return a threshold at a percentile of a zone's own history; it pauses ``band`` above where it resumes.

    Raises IntensityUnavailable when nothing is known, ValueError for a percentile outside 0-100.
    """
    known = trace.g_per_kwh[np.isfinite(trace.g_per_kwh)]
    if not len(known):
        raise IntensityUnavailable(f"No intensity of {trace.zone} is known, so it has no percentiles.")
    resume = float(np.percentile(known, percentile))
    return Threshold(resume * (1 + band), resume, max_pause)


def decide(
    job: Job,
    g_per_kwh: float | None,
    threshold: Threshold,
    state: State,
    *,
    now: datetime,
    again_in: timedelta = HOUR,
) -> tuple[Decision, State]:
    """Say whether to run now or to wait until asked again in ``again_in``, and what to pass in then.

    An unknown intensity runs now.
    """
    waited = timedelta() if state.is_running or state.at is None else now - state.at
    state = replace(state, at=now, paused=state.paused + waited)
    limit = threshold.pause_g_per_kwh if state.is_running else threshold.resume_g_per_kwh
    current = math.nan if g_per_kwh is None else g_per_kwh
    forced = _forced(job, current, threshold, state, now, again_in)
    if forced is not None:
        return Decision(now, "run", forced, g_per_kwh, limit), replace(state, is_running=True)
    is_clean = current <= limit
    relation = "is at most" if is_clean else "is above"
    reason = f"{current:.0f} g/kWh {relation} the threshold of {limit:.0f}."
    decision = Decision(now, "run" if is_clean else "wait", reason, g_per_kwh, limit)
    return decision, replace(state, is_running=is_clean)


def _forced(
    job: Job,
    g_per_kwh: float,
    threshold: Threshold,
    state: State,
    now: datetime,
    again_in: timedelta,
) -> str | None:
    """Say why it has to run whatever the intensity; None when it has not."""
    if job.deadline - now - again_in < job.duration:
        return f"It has to run to be done by {job.deadline:%Y-%m-%d %H:%M} UTC."
    if job.is_running and not job.is_interruptible:
        return "It is running and cannot be interrupted."
    if not math.isfinite(g_per_kwh):
        return "The intensity is not known. It runs now."
    if threshold.max_pause is not None and state.paused + again_in > threshold.max_pause:
        return f"It has waited {state.paused / HOUR:.1f} h of at most {threshold.max_pause / HOUR:.1f}."
    return None
