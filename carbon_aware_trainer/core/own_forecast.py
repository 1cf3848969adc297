"""Forecasts made here of a provider's history, for providers and keys without any."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np

from carbon_aware_trainer.errors import ForecastUnavailable, KeyRefused
from carbon_aware_trainer.forecasting import Fitted, fit
from carbon_aware_trainer.providers.provider import Provider
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

# (history, at, horizon) -> forecast
Forecaster = Callable[[Trace, datetime, timedelta], Forecast]
# A learned forecast needs half a year, and two halves to be tested on.
HISTORY = timedelta(days=365)
# What a key without long histories still shows.
LAST_DAY = timedelta(hours=23)
REFIT_AFTER = timedelta(days=1)


class FittedForecaster:
    """Forecasts with what was fitted on the zone's own history, fitted again once a day."""

    def __init__(self) -> None:
        """Start without any."""
        self._lock = threading.Lock()
        self._fitted: dict[tuple[str, str], tuple[datetime, Fitted]] = {}

    def __call__(self, history: Trace, at: datetime, horizon: timedelta) -> Forecast:
        """Return a forecast of what follows ``history``. Raises IntensityUnavailable when it is too short."""
        key = (history.provider, history.zone)
        with self._lock:
            made_at, fitted = self._fitted.get(key, (None, None))
            if made_at is None or fitted is None or at - made_at >= REFIT_AFTER:
                fitted = fit(history, at=at)
                self._fitted[key] = (at, fitted)
        return fitted.forecast(history, at, horizon)


class OwnForecasts:
    """Fetches the history of a zone and forecasts from it."""

    def __init__(self, provider: Provider, forecaster: Forecaster | None = None) -> None:
        """Take whose history, and who forecasts."""
        self._provider, self._forecaster = provider, forecaster or FittedForecaster()

    def make(self, zone: str, at: datetime, horizon: timedelta) -> Forecast:
        """Return a forecast of a zone. Raises IntensityUnavailable without a history to make it of."""
        end = at + HOUR
        try:
            history = self._provider.fetch_history(zone, at - HISTORY, end)
        except KeyRefused:
            history = self._provider.fetch_history(zone, at - LAST_DAY, end)
        return self._forecaster(_checked(history), at, horizon)

    async def amake(self, zone: str, at: datetime, horizon: timedelta) -> Forecast:
        """Return a forecast of a zone. Raises IntensityUnavailable without a history to make it of."""
        end = at + HOUR
        try:
            history = await self._provider.afetch_history(zone, at - HISTORY, end)
        except KeyRefused:
            history = await self._provider.afetch_history(zone, at - LAST_DAY, end)
        return await asyncio.to_thread(self._forecaster, _checked(history), at, horizon)


def _checked(history: Trace) -> Trace:
    """Return a history that says something of one hour against another. Raises ForecastUnavailable."""
    if HOUR % history.step:
        raise ForecastUnavailable(
            f"{history.provider} has a value of {history.zone} every {history.step / HOUR:.3g} h; a forecast "
            "needs one an hour, or several. Use a provider or file with hours."
        )
    known = history.g_per_kwh[np.isfinite(history.g_per_kwh)]
    if len(known) > 1 and known.min() == known.max():
        raise ForecastUnavailable(
            f"{history.provider} has the same intensity of {history.zone} for every hour; of that no "
            "forecast can be made. Use a provider with hours."
        )
    return history
