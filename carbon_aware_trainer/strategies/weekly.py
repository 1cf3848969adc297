"""What the hours of a week usually have, for what a forecast does not reach: time of day by weekday.

The level is that of the last day known or forecast; it fades to the mean of the last weeks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting.hours import DAY_H, Floats, hour_of, start_of, to_hours
from carbon_aware_trainer.traces import HOUR, INTERVAL_LEVEL, Forecast, Trace

DAYS = 28
# With less, no weekday is known.
_LEAST_H = 7 * DAY_H
# A history that ended before says nothing about now.
_OLDEST = timedelta(days=14)
_LEVEL_FADES_H = 48.0
_LEAST_G_PER_KWH = 1.0
_METHOD = "profile of the week"
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The last weeks of a zone. daily [24], weekly [7]: over their mean; spread: an interval over a value."""

    mean: float
    daily: Floats
    weekly: Floats
    spread: tuple[float, float]

    def shape(self, hour: Ints) -> Floats:
        """Return what hours usually have over the mean."""
        return np.asarray(self.daily[hour % DAY_H] * self.weekly[_weekday(hour)])

    def values(self, hour: Ints, *, level: float, since: int) -> Floats:
        """Return what is expected in hours after ``since``, in which the level was known. level: g/kWh."""
        kept = np.exp(-np.maximum(hour - since, 0) / _LEVEL_FADES_H)
        return (kept * level + (1 - kept) * self.mean) * self.shape(hour)


def profile(history: Trace) -> Profile | None:
    """Return the profile of the last weeks of a history; None where it holds less than a week."""
    first = history.slot(history.end - DAYS * DAY_H * HOUR)
    recent = replace(
        history,
        start=history.start + max(0, first) * history.step,
        g_per_kwh=history.g_per_kwh[max(0, first) :],
    )
    if np.isfinite(recent.g_per_kwh).sum() * history.step < _LEAST_H * HOUR:
        return None
    hours = to_hours(recent)
    number = hours.first + np.arange(len(hours))
    mean = max(float(hours.g_per_kwh.mean()), _LEAST_G_PER_KWH)
    found = Profile(
        mean,
        _over_mean(hours.g_per_kwh, number % DAY_H, DAY_H, mean),
        _over_mean(hours.g_per_kwh, _weekday(number), 7, mean),
        (1.0, 1.0),
    )
    ratio = hours.g_per_kwh / np.maximum(mean * found.shape(number), _LEAST_G_PER_KWH)
    low, high = np.quantile(ratio, ((1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2))
    return replace(found, spread=(min(float(low), 1.0), max(float(high), 1.0)))


def extended(forecast: Forecast | None, history: Trace | None, *, until: datetime) -> Forecast | None:
    """Return a forecast that reaches ``until``, after its own end with what the hours of a week usually have.

    As it is where it reaches that far, where the history is of another provider or basis, or too short.
    """
    if forecast is None or history is None or forecast.end >= until:
        return forecast
    if (forecast.provider, forecast.basis) != (history.provider, history.basis):
        return forecast
    known = profile(history)
    if known is None or not np.isfinite(forecast.g_per_kwh).all():
        return forecast
    slots = -int((forecast.end - until) // forecast.step)
    own = _hours_of(forecast.start, forecast.step, len(forecast.g_per_kwh))
    last_day = own > own[-1] - DAY_H
    level = float(forecast.g_per_kwh[last_day].mean() / max(known.shape(own[last_day]).mean(), 1e-9))
    values = known.values(_hours_of(forecast.end, forecast.step, slots), level=level, since=int(own[-1]))
    low, high = (values * share for share in known.spread)
    return replace(
        forecast,
        g_per_kwh=np.concatenate([forecast.g_per_kwh, values]),
        low=np.concatenate([forecast.low, low]),
        high=np.concatenate([forecast.high, high]),
        method=f"{forecast.method}, then {_METHOD}",
    )


def usual(history: Trace, *, now: datetime, until: datetime) -> Forecast | None:
    """Return what the hours of a week usually have from now on, for want of a forecast.

    None where the history is too short, or ended too long ago.
    """
    known = profile(history)
    if known is None or now - history.end > _OLDEST:
        return None
    hours = to_hours(history)
    last = hours.first + len(hours) - 1
    day = np.arange(last - DAY_H + 1, last + 1)
    level = float(hours.g_per_kwh[-DAY_H:].mean() / max(known.shape(day).mean(), 1e-9))
    start = start_of(hour_of(now))
    count = max(1, -int((start - until) // HOUR))
    values = known.values(_hours_of(start, HOUR, count), level=level, since=last)
    low, high = (values * share for share in known.spread)
    return Forecast(
        history.zone, history.provider, history.basis, now, start, HOUR, values, low, high, _METHOD
    )


def _hours_of(start: datetime, step: timedelta, count: int) -> Ints:
    return np.array([hour_of(start + i * step) for i in range(count)], dtype=np.int64)


def _weekday(hour: Ints) -> Ints:
    # 1970 began on a Thursday, the fourth day of a week.
    return np.asarray((hour // DAY_H + 3) % 7)


def _over_mean(values: Floats, group: Ints, count: int, mean: float) -> Floats:
    number = np.bincount(group, minlength=count)
    total = np.bincount(group, values, minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), mean) / mean
