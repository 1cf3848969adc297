"""Forecasts of carbon intensity for people: of one zone, or of several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting import Fitted, backtest, fit
from carbon_aware_trainer.forecasting.hours import DAY_H, Floats, Hours, to_hours
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

_WEEK_D = 7


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good forecasts were that were made every hour of a history they did not know.

    mape: mean of error / actual, 0-1, and mae: g/kWh, over one hour to four days ahead. captured: what share
    of the saving of a perfect forecast the adaptive strategy got with them, interruptible and in one piece.
    """

    mape: float
    mae_g_per_kwh: float
    captured_interruptible: float
    captured_in_one_piece: float
    forecasts: int


class CarbonForecaster:
    """Forecasts one zone from its own history.

    Raises IntensityUnavailable when the history holds no value.
    """

    def __init__(self, history: Trace, *, fitted: Fitted | None = None) -> None:
        """Fit the history; takes up to a second for a year unless ``fitted`` is given."""
        self.history = history
        self.fitted = fit(history) if fitted is None else fitted

    def forecast(
        self, hours: float = 96, *, at: datetime | None = None, history: Trace | None = None
    ) -> Forecast:
        """Forecast from a moment on, by default from the last known slot of the history."""
        known = self.history if history is None else history
        return self.fitted.forecast(known, _last(known) if at is None else at, timedelta(hours=hours))

    def ensemble(self) -> Mapping[str, float]:
        """Return the weight of each forecast that is averaged, as the back-test chose them; they sum to 1."""
        return self.fitted.shares

    def trend(self, days: int = 28) -> float:
        """Return by how much the daily mean changed per day over the last days, g/kWh; negative is cleaner.

        Raises IntensityUnavailable with less than two days of history.
        """
        values = to_hours(self.history).g_per_kwh
        whole = min(days, len(values) // DAY_H)
        if whole < 2:
            raise IntensityUnavailable("A trend needs two days of history.")
        means = values[-whole * DAY_H :].reshape(whole, DAY_H).mean(axis=1)
        return float(np.polyfit(np.arange(whole), means, 1)[0])

    def seasonality(self) -> tuple[Floats, Floats]:
        """Return the means by hour of the day [24] and weekday [7], from Monday on, over the mean of all; UTC."""
        hours = to_hours(self.history)
        number = hours.first + np.arange(len(hours))
        # 1970 began on a Thursday, the fourth day of a week.
        weekday = (number // DAY_H + 3) % _WEEK_D
        return _ratio(hours, number % DAY_H, DAY_H), _ratio(hours, weekday, _WEEK_D)

    def predict_emissions(
        self, energy_kwh: float, start: datetime, duration_h: float
    ) -> tuple[float, float, float]:
        """Return the grams that energy used evenly over a span would emit, and the interval of 80 %.

        The interval takes all hours to be off in the same direction, which is wider than they are.
        Raises IntensityUnavailable when the span begins before the last known slot or ends after what can be
        forecast, ValueError for a duration that is not above zero.
        """
        if duration_h <= 0:
            raise ValueError(f"{duration_h:g} h is no duration. Send one above zero.")
        now = _last(self.history)
        if start < now:
            raise IntensityUnavailable(
                f"The span begins before {now:%Y-%m-%d %H:%M} UTC, the last known slot."
            )
        forecast = self.forecast((start - now) / HOUR + duration_h, at=now)
        begins = (start - forecast.start) / HOUR
        edges = np.arange(len(forecast.g_per_kwh) + 1) * (forecast.step / HOUR)
        held = np.clip(np.minimum(edges[1:], begins + duration_h) - np.maximum(edges[:-1], begins), 0, None)
        weights = energy_kwh * held / held.sum()
        value, low, high = (
            float(weights @ column) for column in (forecast.g_per_kwh, forecast.low, forecast.high)
        )
        return value, low, high

    def evaluate(self, history: Trace) -> Evaluation:
        """Return how good this forecast is on a history, which should be one it was not fitted on.

        Raises IntensityUnavailable for a history that is too short to replay a job on.
        """
        hours = to_hours(history)
        at = np.arange(min(_WEEK_D * DAY_H, len(hours)), len(hours))
        if len(at) < backtest.LEAST_H:
            raise IntensityUnavailable(
                f"{len(hours) / DAY_H:.0f} days are too few to evaluate a forecast on. Send at least 21."
            )
        expected = self.fitted.rows(hours, at)
        actual = backtest.actual_ahead(hours, at)[:, : 4 * DAY_H]
        error = np.abs(expected[:, : 4 * DAY_H] - actual)
        captured = backtest.captured(hours, at, expected.astype(np.float32))
        return Evaluation(
            float(np.nanmean(error / np.maximum(actual, 1.0))),
            float(np.nanmean(error)),
            captured.interruptible,
            captured.in_one_piece,
            len(at),
        )


class ParallelCarbonForecaster:
    """Fits and forecasts several zones side by side, at most ``limit`` at a time."""

    def __init__(self, histories: Mapping[str, Trace], *, limit: int = 4) -> None:
        """Take the history of each zone. Raises ValueError for a limit below 1."""
        if limit < 1:
            raise ValueError(f"At most {limit} zones at a time is none. Set the limit to at least 1.")
        self._histories = dict(histories)
        self._limit = limit
        self._forecasters: dict[str, CarbonForecaster] = {}

    async def fit(self) -> Mapping[str, CarbonForecaster]:
        """Fit all zones, in threads, once. Raises IntensityUnavailable when one has no history."""
        room = asyncio.Semaphore(self._limit)

        async def fit_one(zone: str) -> CarbonForecaster:
            async with room:
                return await asyncio.to_thread(CarbonForecaster, self._histories[zone])

        missing = [zone for zone in self._histories if zone not in self._forecasters]
        fitted = await asyncio.gather(*(fit_one(zone) for zone in missing))
        self._forecasters.update(zip(missing, fitted, strict=True))
        return dict(self._forecasters)

    async def forecast(self, hours: float = 96, *, at: datetime | None = None) -> dict[str, Forecast]:
        """Forecast all zones, fitting first those that are not yet."""
        forecasters = await self.fit()
        return {zone: forecaster.forecast(hours, at=at) for zone, forecaster in forecasters.items()}


def _last(history: Trace) -> datetime:
    known = np.flatnonzero(np.isfinite(history.g_per_kwh))
    if not len(known):
        raise IntensityUnavailable(f"No intensity of {history.zone} is known.")
    return history.start + int(known[-1]) * history.step


def _ratio(hours: Hours, group: np.ndarray[tuple[int], np.dtype[np.int64]], count: int) -> Floats:
    """Return the mean of each group over the mean of all; 1 for a group without a value."""
    known = hours.is_known
    mean = max(float(hours.g_per_kwh[known].mean()), 1e-9)
    number = np.bincount(group[known], minlength=count)
    total = np.bincount(group[known], hours.g_per_kwh[known], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), mean) / mean
