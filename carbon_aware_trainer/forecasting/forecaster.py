"""The forecast of a zone: fitted on its history, chosen by back-test on that same history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting import backtest, blend, interval, learning, profile, saved
from carbon_aware_trainer.forecasting.backtest import Captured
from carbon_aware_trainer.forecasting.hours import (
    DAY_H,
    Floats,
    Hours,
    hour_of,
    slots_per_hour,
    start_of,
    to_hours,
)
from carbon_aware_trainer.forecasting.inputs import Shape
from carbon_aware_trainer.forecasting.learning import Learned
from carbon_aware_trainer.forecasting.ridge import HORIZON_H, Ridge
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

DEFAULT_HORIZON = timedelta(hours=96)
# With less history learned models do worse than the profile.
LEAST_KNOWN_H = 180 * DAY_H
BY_HOUR = Shape("by hour of day", 24, 7, 0, 2, 2, is_log=True, is_by_hour=True, penalty=5.0)
WHOLE = Shape("all hours", 168, 14, 4, 2, 2, is_log=False, is_by_hour=False, penalty=300.0)
SHAPES = (BY_HOUR, WHOLE)
PROFILE = "profile of 7 days"
_DAYS_OF_SHAPE = 28
# What was learned earlier has faded.
_LEARNED_H = 90 * DAY_H


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted forecast of one zone.

    weights: of the ridges and, last, of the profile; they sum to 1. bounds: see interval.measure.
    captured, learned: in the back-test, the share of the saving and how far off it was; None and nothing
    where the history was too short for one.
    """

    zone: str
    ridges: tuple[Ridge, ...]
    weights: tuple[float, ...]
    bounds: Floats
    captured: Captured | None = field(default=None)
    learned: Learned = field(default_factory=Learned)

    @property
    def method(self) -> str:
        """What is averaged, for a person."""
        shares = self.shares
        return " + ".join(
            name if len(shares) == 1 else f"{weight:.0%} {name}" for name, weight in shares.items()
        )

    @property
    def shares(self) -> dict[str, float]:
        """The weight of each forecast that is averaged, by its name."""
        names = (*(ridge.shape.name for ridge in self.ridges), PROFILE)
        return {name: weight for name, weight in zip(names, self.weights, strict=True) if weight}

    def forecast(self, trace: Trace, at: datetime, horizon: timedelta | None = DEFAULT_HORIZON) -> Forecast:
        """Forecast from what is known at a moment; the first slot is the one in force then.

        horizon: None is as far as it reaches, 216 h from the last known hour.

        Raises IntensityUnavailable when nothing is known, or nothing new for longer than can be bridged.
        """
        per_hour = slots_per_hour(trace.step)
        known = _tail(trace.known_at(at), self._past_h)
        hours = to_hours(known)
        now, last = hour_of(at), hours.first + len(hours) - 1
        if horizon is None:
            horizon = max(HORIZON_H - 1 - (now - last), 1) * HOUR
        needed = -int(-horizon // HOUR) + 1
        if now - last + needed > HORIZON_H + 1:
            raise IntensityUnavailable(
                f"The last known intensity of {trace.zone} is of {start_of(last):%Y-%m-%d %H:%M} UTC. "
                f"{horizon / HOUR:.0f} h cannot be forecast from there; fetch the hours since."
            )
        at_last = np.array([last - hours.first])
        ahead = self.rows(hours, at_last)[0]
        values = np.concatenate([hours.g_per_kwh[at_last], ahead])
        low, high = interval.around(ahead, self.bounds, last)
        lows, highs = np.concatenate([values[:1], low]), np.concatenate([values[:1], high])
        span = slice(now - last, now - last + needed)
        made = Forecast(
            trace.zone, trace.provider, trace.basis, at, start_of(now), HOUR,
            values[span], lows[span], highs[span], self.method,
        )  # fmt: skip
        return _cut(made if per_hour == 1 else _by_slot(made, known), trace, at, horizon)

    def rows(self, hours: Hours, at: npt.NDArray[np.int64]) -> Floats:
        """Forecast the HORIZON_H hours after each of the hours numbered ``at`` within ``hours``."""
        parts = [ridge.rows(hours, at) if weight else None for ridge, weight in self._weighed()]
        if self.weights[-1]:
            parts.append(profile.rows(hours, at, horizon_h=HORIZON_H))
        used = [weight for weight in self.weights if weight]
        listed = [part for part in parts if part is not None]
        mixed = sum(weight * part for weight, part in zip(used, listed, strict=True))
        off = learning.correction(self.learned, hours.first + at, HORIZON_H)
        return np.maximum(mixed + off, 0.0)

    def to_bytes(self) -> bytes:
        """Return it as an archive of arrays with a header in JSON; nothing in it is executed when read."""
        return saved.to_bytes(
            self.zone,
            self.ridges,
            self.weights,
            self.bounds,
            self.captured,
            self.learned,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Fitted:
        """Read what to_bytes wrote. Raises IntensityUnavailable for anything else, or another version's."""
        return cls(*saved.from_bytes(data))

    @property
    def _past_h(self) -> int:
        return max([(profile.DAYS + 1) * DAY_H, *(ridge.shape.past_h for ridge in self.ridges)])

    def _weighed(self) -> list[tuple[Ridge, float]]:
        return list(zip(self.ridges, self.weights, strict=False))


def fit(trace: Trace, *, at: datetime | None = None) -> Fitted:
    """Fit a zone on what is known at a moment, by default on all of it.

    Which forecasts are averaged is chosen by a rolling back-test of the saving they capture; with under 6
    months it is the profile alone. Raises IntensityUnavailable when nothing is known.
    """
    hours = to_hours(trace if at is None else trace.known_at(at))
    if int(hours.is_known.sum()) < LEAST_KNOWN_H:
        return Fitted(trace.zone, (), (1.0,), _bounds_of_profile(hours))
    tested = backtest.test(hours, SHAPES)
    weights, captured = blend.choose(hours, tested)
    expected = blend.mix(tested.expected, weights)
    bounds = _bounds(hours, tested.at, expected.astype(np.float64))
    used = [ridge for ridge, weight in zip(tested.ridges, weights, strict=False) if weight]
    kept = (*(weight for weight in weights[:-1] if weight), weights[-1])
    learned = _learned(hours, tested.at[-_LEARNED_H:], expected[-_LEARNED_H:])
    return Fitted(trace.zone, tuple(used), kept, bounds, captured, learned)


def _learned(hours: Hours, at: npt.NDArray[np.int64], expected: npt.NDArray[np.float32]) -> Learned:
    """Judge the forecasts of the back-test as if they had been made hour by hour."""
    learned = Learned()
    for index, row in zip(at.tolist(), expected, strict=True):
        if hours.is_known[index]:
            learned = learning.observe(learned, hours.first + index, float(hours.g_per_kwh[index]))
        learned = learning.remember(learned, hours.first + index, row)
    return replace(learned, open=())


def _bounds_of_profile(hours: Hours) -> Floats:
    at = np.arange(min(DAY_H, len(hours) - 1), len(hours))
    return _bounds(hours, at, profile.rows(hours, at, horizon_h=HORIZON_H))


def _bounds(hours: Hours, at: npt.NDArray[np.int64], expected: Floats) -> Floats:
    return interval.measure(expected, backtest.actual_ahead(hours, at), hours.first + at)


def _tail(trace: Trace, past_h: int) -> Trace:
    """Return the end of a trace that a forecast looks at, counted from its last known slot."""
    known = np.flatnonzero(np.isfinite(trace.g_per_kwh))
    last = int(known[-1]) + 1 if len(known) else 0
    first = max(0, last - (max(past_h, _DAYS_OF_SHAPE * DAY_H) + 1) * slots_per_hour(trace.step))
    return replace(trace, start=trace.start + first * trace.step, g_per_kwh=trace.g_per_kwh[first:last])


def _by_slot(made: Forecast, known: Trace) -> Forecast:
    """Spread hourly values over the slots of an hour as the last weeks had them."""
    per_hour = slots_per_hour(known.step)
    offset = round((known.start - start_of(hour_of(known.start))) / known.step)
    hour = hour_of(known.start) + (np.arange(len(known.g_per_kwh)) + offset) // per_hour
    part = (np.arange(len(known.g_per_kwh)) + offset) % per_hour
    hours = to_hours(known)
    ratio = known.g_per_kwh / np.maximum(hours.g_per_kwh[hour - hours.first], 1.0)
    seen = np.isfinite(ratio)
    place = (hour % DAY_H) * per_hour + part
    count = np.bincount(place[seen], minlength=DAY_H * per_hour)
    total = np.bincount(place[seen], ratio[seen], minlength=DAY_H * per_hour)
    shape = np.where(count > 0, total / np.maximum(count, 1), 1.0).reshape(DAY_H, per_hour)
    factor = shape[(hour_of(made.start) + np.arange(len(made.g_per_kwh))) % DAY_H]
    spread = [(values[:, None] * factor).ravel() for values in (made.g_per_kwh, made.low, made.high)]
    return replace(made, step=known.step, g_per_kwh=spread[0], low=spread[1], high=spread[2])


def _cut(made: Forecast, trace: Trace, at: datetime, horizon: timedelta) -> Forecast:
    """Begin with the slot in force, which is known where it was recorded; end with the horizon's."""
    first = int((at - made.start) // made.step)
    until = -int((made.start - at - horizon) // made.step)
    values, low, high = (column[first:until].copy() for column in (made.g_per_kwh, made.low, made.high))
    slot = trace.slot(at)
    if 0 <= slot < len(trace.g_per_kwh) and np.isfinite(trace.g_per_kwh[slot]):
        values[0] = low[0] = high[0] = trace.g_per_kwh[slot]
    return replace(made, start=made.start + first * made.step, g_per_kwh=values, low=low, high=high)
