"""The intensity of regions: what is in force, what is forecast, and when it is best to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from carbon_aware_trainer.core.own_forecast import Forecaster, OwnForecasts
from carbon_aware_trainer.core.watch import Callback, Update, Watch
from carbon_aware_trainer.errors import (
    CarbonError,
    ForecastUnavailable,
    IntensityUnavailable,
    NoFeasibleStart,
)
from carbon_aware_trainer.plans import Plan, Window
from carbon_aware_trainer.providers.asking import utc_now
from carbon_aware_trainer.providers.choose import open_provider
from carbon_aware_trainer.providers.provider import Provider
from carbon_aware_trainer.providers.zones import find_zone
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.strategies.windows import best_zone, trouble_of
from carbon_aware_trainer.traces import HOUR, Forecast


@dataclass(frozen=True, slots=True)
class RegionWindow:
    """Where and when it is best to run, and the plan with what that saves."""

    region: str
    window: Window
    plan: Plan


class CarbonMonitor:
    """Intensities of regions. Each method has an ``a…`` twin for event loops.

    As a context manager, also an async one, it looks at every region each ``update_interval`` seconds and
    tells the callbacks. A provider that fails is told as well.
    """

    def __init__(
        self,
        regions: Sequence[str],
        *,
        update_interval: float = 300.0,
        carbon_model: str | None = None,
        api_key: str | None = None,
        provider: Provider | None = None,
        forecaster: Forecaster | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Take the regions and whom to ask: a provider, or its model and key.

        Without a model: electricitymaps when there is a key; else uk when all regions are there, which needs
        no key; else static. Raises UnknownZone, UnknownModel, KeyRefused.
        """
        if not regions or isinstance(regions, str):
            raise CarbonError("Give the regions as a list, such as regions=['US-CA', 'DE'].")
        if update_interval <= 0:
            raise CarbonError("Give an update_interval above 0, in seconds.")
        model = carbon_model or _model_of(regions, api_key)
        self.regions = tuple(regions)
        self.provider = provider or open_provider(model, api_key=api_key, now=now)
        for region in self.regions:
            self.provider.check_zone(region)
        self._own = OwnForecasts(self.provider, forecaster)
        self._watch = Watch(self.provider, self.regions, update_interval)
        self._now = now

    @property
    def latest(self) -> Mapping[str, Update]:
        """What the last look at each region brought; empty before the first."""
        return self._watch.latest

    def add_callback(self, callback: Callback) -> None:
        """Tell a function, which may be async, of every look at a region from now on."""
        self._watch.callbacks.append(callback)

    def update(self) -> None:
        """Look at every region now, and tell the callbacks."""
        self._watch.look()

    async def aupdate(self) -> None:
        """Look at every region now, and tell the callbacks."""
        await self._watch.alook()

    def get_current_intensity(self, region: str | None = None) -> Intensity:
        """Return the intensity in force, of the first region unless another is named.

        Raises IntensityUnavailable when it is not known.
        """
        return self.provider.fetch_latest(region or self.regions[0])

    async def aget_current_intensity(self, region: str | None = None) -> Intensity:
        """Return the intensity in force, of the first region unless another is named."""
        return await self.provider.afetch_latest(region or self.regions[0])

    def get_forecast(self, region: str | None = None, hours: float = 24.0) -> Forecast:
        """Return the provider's forecast, else one made here of its history; it may be shorter than asked.

        Raises IntensityUnavailable when there is neither.
        """
        zone, horizon = region or self.regions[0], hours * HOUR
        try:
            return self.provider.fetch_forecast(zone, horizon)
        except ForecastUnavailable:
            return self._own.make(zone, self._now(), horizon)

    async def aget_forecast(self, region: str | None = None, hours: float = 24.0) -> Forecast:
        """Return the provider's forecast, else one made here of its history; it may be shorter than asked."""
        zone, horizon = region or self.regions[0], hours * HOUR
        try:
            return await self.provider.afetch_forecast(zone, horizon)
        except ForecastUnavailable:
            return await self._own.amake(zone, self._now(), horizon)

    def find_optimal_window(
        self, duration_hours: float, max_carbon_intensity: float | None = None, *, within_hours: float = 24.0
    ) -> RegionWindow | None:
        """Return the cleanest region and window that ends in time; None when it is above the maximum.

        A region whose forecast is missing or too short is left out. Raises NoFeasibleStart when the work is
        longer than ``within_hours``, IntensityUnavailable when no region is left, BasesMixed when the
        forecasts cannot be compared.
        """
        found = {region: self._forecast_or_why(region, within_hours) for region in self.regions}
        return self._choose(found, duration_hours, max_carbon_intensity, within_hours)

    async def afind_optimal_window(
        self, duration_hours: float, max_carbon_intensity: float | None = None, *, within_hours: float = 24.0
    ) -> RegionWindow | None:
        """Return the cleanest region and window that ends in time; None when it is above the maximum."""
        listed = await asyncio.gather(
            *(self._aforecast_or_why(region, within_hours) for region in self.regions)
        )
        found = dict(zip(self.regions, listed, strict=True))
        return self._choose(found, duration_hours, max_carbon_intensity, within_hours)

    def __enter__(self) -> CarbonMonitor:
        """Start to look, from a thread."""
        self._watch.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Look no more."""
        self._watch.stop()

    async def __aenter__(self) -> CarbonMonitor:
        """Start to look, from a task."""
        await self._watch.astart()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Look no more."""
        await self._watch.astop()

    def _forecast_or_why(self, region: str, hours: float) -> Forecast | str:
        try:
            return self.get_forecast(region, hours)
        except IntensityUnavailable as err:
            return str(err)

    async def _aforecast_or_why(self, region: str, hours: float) -> Forecast | str:
        try:
            return await self.aget_forecast(region, hours)
        except IntensityUnavailable as err:
            return str(err)

    def _choose(
        self,
        found: Mapping[str, Forecast | str],
        duration_hours: float,
        max_g_per_kwh: float | None,
        within_hours: float,
    ) -> RegionWindow | None:
        now, duration = self._now(), duration_hours * HOUR
        if duration_hours > within_hours:
            raise NoFeasibleStart(
                f"{duration_hours:g} h of work do not fit into {within_hours:g} h. Allow a longer time."
            )
        forecasts: dict[str, Forecast] = {}
        missing: dict[str, None] = {}
        for region, each in found.items():
            trouble = each if isinstance(each, str) else trouble_of(each, now=now, duration=duration)
            if trouble is not None or isinstance(each, str):
                missing[f"{region}: {trouble}"] = None
            else:
                forecasts[region] = each
        if not forecasts:
            raise IntensityUnavailable(" ".join(missing))
        deadline = now + within_hours * HOUR
        region, plan = best_zone(forecasts, now=now, duration=duration, deadline=deadline)
        is_too_dirty = max_g_per_kwh is not None and plan.g_per_kwh > max_g_per_kwh
        return None if is_too_dirty else RegionWindow(region, plan.windows[0], plan)


def _model_of(regions: Sequence[str], api_key: str | None) -> str:
    if api_key is not None:
        return "electricitymaps"
    zones = [find_zone(region) for region in regions]
    return "uk" if all(zone is not None and "uk" in zone.at for zone in zones) else "static"
