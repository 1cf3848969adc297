"""Run now, or wait for cleaner hours: decided anew every hour from the forecast of that hour.

Interruptible: run now unless the forecast has enough cheaper time before the deadline for all the work left.
In one piece: start now unless a later window is cheaper. Ties run now: a flat grid delays nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.plans import Decision, Job, Plan
from carbon_aware_trainer.strategies import windows
from carbon_aware_trainer.traces import HOUR, Forecast

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

# A job that runs is not paused for less than this share of what the forecast ranges over until the deadline.
# Not a share of the intensity: where that hardly varies, all there is to save would lie inside it.
KEEP_RUNNING_SHARE = 0.03
# Waiting is worth more than what is expected of it: what comes may turn out cleaner, and if not, a later hour
# may still. This share of the way from what is expected to the low end of its interval is taken off it,
# more of it before a start that cannot be taken back.
WAITING_SHARE, WAITING_SHARE_IN_ONE_PIECE = 0.05, 0.1
_MAY_BE_CLEANER = "What comes is forecast to be about as clean as now, and may well turn out cleaner."
OVERRUN = "It takes longer than was estimated. It runs without a pause until it is done."


def worth(expected: Floats, low: Floats, *, is_interruptible: bool) -> Floats:
    """Return what hours ahead count as, g/kWh: what is expected, less what waiting for them is worth.

    low: of the interval; an hour in force is its own interval, NaN is an hour without one, and loses nothing.
    """
    share = WAITING_SHARE if is_interruptible else WAITING_SHARE_IN_ONE_PIECE
    return np.asarray(expected - share * np.maximum(np.nan_to_num(expected - low), 0.0))


def is_among_cheapest(now: Floats, ahead: Floats, hours: Floats, work_h: Floats) -> Bools:
    """Say whether less than ``work_h`` of the hours ahead are cheaper than now.

    now: [n]. ahead: [n, slots]. hours: [slots], what of each slot lies before the deadline. work_h: [n].
    """
    cheaper_h = (ahead < now[:, None]) @ hours
    return np.asarray(cheaper_h < work_h - 1e-9)


def keep_running_band(slots: Floats) -> Floats:
    """Return by how much an hour has to be cheaper for a running job to pause, g/kWh. slots: [n, slots]."""
    return np.asarray(KEEP_RUNNING_SHARE * np.ptp(slots.astype(np.float64), axis=1))


def is_cheapest_window(slots: Floats, length: int) -> Bools:
    """Say whether no window of ``length`` slots is cheaper than the first. slots: [n, at least length]."""
    sums = np.cumsum(slots, axis=1, dtype=np.float64)
    later = sums[:, length:] - sums[:, :-length] if slots.shape[1] > length else sums[:, :0]
    first = sums[:, length - 1]
    return np.asarray((later >= first[:, None] * (1 - 1e-12)).all(axis=1))


def decide(
    job: Job,
    forecast: Forecast | None,
    *,
    now: datetime,
    margin: timedelta = timedelta(),
    again_in: timedelta = HOUR,
) -> Decision:
    """Say whether to run now or to wait until asked again in ``again_in``.

    margin: by which the work may take longer than the job says. Without a forecast, or with one that ends
    before the work could, it runs now and says so.
    """
    if job.duration <= timedelta():
        return Decision(now, "run", OVERRUN, _in_force(forecast, now))
    work = job.duration + margin
    if job.deadline - now - again_in < work:
        return Decision(now, "run", _deadline_text(job, now), _in_force(forecast, now))
    if job.is_running and not job.is_interruptible:
        return Decision(now, "run", "It is running and cannot be interrupted.", _in_force(forecast, now))
    trouble = windows.trouble_of(forecast, now=now, duration=work)
    if forecast is None or trouble is not None:
        return Decision(now, "run", f"{trouble} It runs now.", None)
    deadline = min(job.deadline, forecast.end)
    if not job.is_interruptible:
        return _decide_window(job, forecast, now, deadline)
    return _decide_slots(job, forecast, now, deadline)


def plan(job: Job, forecast: Forecast | None, *, now: datetime) -> Plan:
    """Say when the job is expected to run, as things stand now.

    Raises NoFeasibleStart when its work does not fit before the deadline, IntensityUnavailable without a
    forecast or with one that is too short.
    """
    search = windows.best_slots if job.is_interruptible else windows.best_window
    return search(forecast, now=now, duration=job.duration, deadline=job.deadline)


def _decide_window(job: Job, forecast: Forecast, now: datetime, deadline: datetime) -> Decision:
    counted = _counted(forecast, job)
    in_force = _in_force(forecast, now)
    best = windows.best_window(counted, now=now, duration=job.duration, deadline=deadline)
    runs = best.start <= now
    best = windows.best_window(forecast, now=now, duration=job.duration, deadline=deadline)
    if not runs and best.start <= now:
        return Decision(now, "wait", _MAY_BE_CLEANER, in_force, best.run_now_g_per_kwh)
    if runs:
        reason = f"No window before {deadline:%Y-%m-%d %H:%M} UTC is forecast to be cleaner."
        return Decision(now, "run", reason, in_force, best.run_now_g_per_kwh)
    reason = (
        f"A start at {best.start:%Y-%m-%d %H:%M} UTC is forecast to emit {best.g_per_kwh:.0f} g/kWh, "
        f"{best.saving:.0%} less than now."
    )
    return Decision(now, "wait", reason, in_force, best.g_per_kwh)


def _decide_slots(job: Job, forecast: Forecast, now: datetime, deadline: datetime) -> Decision:
    slots = windows.slots_until(_counted(forecast, job), now=now, deadline=deadline)
    work_h = job.duration / HOUR
    threshold = windows.price_of(slots, work_h)
    in_force = float(slots.g_per_kwh[0])
    if job.is_running:
        # Pausing adds resume_cost of work at about the threshold; that has to be won back within this slot.
        first_h = max(float(slots.hours[0]), 1e-9)
        band = float(keep_running_band(slots.g_per_kwh[None])[0])
        bound = in_force - band - threshold * (job.resume_cost / HOUR) / first_h
    else:
        bound = in_force
    runs = is_among_cheapest(
        np.array([bound]), slots.g_per_kwh[None, 1:], slots.hours[1:], np.array([work_h])
    )[0]
    if runs:
        reason = f"Now is among the cleanest {work_h:.1f} h before {deadline:%Y-%m-%d %H:%M} UTC."
        return Decision(now, "run", reason, in_force, threshold)
    price = windows.price_of(windows.slots_until(forecast, now=now, deadline=deadline), work_h)
    reason = f"{work_h:.1f} h of at most {price:.0f} g/kWh are forecast before {deadline:%Y-%m-%d %H:%M} UTC."
    if in_force <= price and not job.is_running:
        reason = _MAY_BE_CLEANER
    return Decision(now, "wait", reason, in_force, threshold)


def _counted(forecast: Forecast, job: Job) -> Forecast:
    counted = worth(forecast.g_per_kwh, forecast.low, is_interruptible=job.is_interruptible)
    return replace(forecast, g_per_kwh=counted.astype(np.float64))


def _in_force(forecast: Forecast | None, now: datetime) -> float | None:
    if forecast is None or not forecast.start <= now < forecast.end:
        return None
    return float(forecast.g_per_kwh[int((now - forecast.start) / forecast.step)])


def _deadline_text(job: Job, now: datetime) -> str:
    left = (job.deadline - now) / HOUR
    return f"It has to run to be done by {job.deadline:%Y-%m-%d %H:%M} UTC: {left:.1f} h are left."
