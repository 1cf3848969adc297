"""One provider, asked from threads and from event loops."""

from __future__ import annotations

from datetime import datetime, timedelta

from carbon_aware_trainer.providers.adapter import Adapter
from carbon_aware_trainer.providers.exchange import LoopRunner, ThreadRunner
from carbon_aware_trainer.providers.provider import HORIZON
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import Forecast, Trace


class AdaptedProvider:
    """A provider made of an adapter and the two ways to take its steps. There is nothing to close."""

    def __init__(self, adapter: Adapter, *, threads: ThreadRunner, loops: LoopRunner) -> None:
        """Take the adapter, and who takes its steps."""
        self._adapter, self._threads, self._loops = adapter, threads, loops

    @property
    def name(self) -> str:
        """Who it is."""
        return self._adapter.name

    @property
    def basis(self) -> Basis:
        """What its figures charge a kWh with."""
        return self._adapter.basis

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone, naming near ones, when the provider does not have that zone."""
        self._adapter.check_zone(zone)

    def fetch_latest(self, zone: str) -> Intensity:
        """Return the intensity in force now."""
        return self._threads.run(self._adapter.latest(zone))

    def fetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        """Return what was recorded for the slots that begin in [start, end); its gaps are NaN."""
        return self._threads.run(self._adapter.history(zone, start, end))

    def fetch_forecast(self, zone: str, horizon: timedelta = HORIZON) -> Forecast:
        """Return the provider's own forecast. Raises ForecastUnavailable when it has none."""
        return self._threads.run(self._adapter.forecast(zone, horizon))

    def fetch_mix(self, zone: str) -> EnergyMix:
        """Return what the electricity is made from. Raises MixUnavailable when the provider does not say."""
        return self._threads.run(self._adapter.mix(zone))

    async def afetch_latest(self, zone: str) -> Intensity:
        """Return the intensity in force now."""
        return await self._loops.run(self._adapter.latest(zone))

    async def afetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        """Return what was recorded for the slots that begin in [start, end); its gaps are NaN."""
        return await self._loops.run(self._adapter.history(zone, start, end))

    async def afetch_forecast(self, zone: str, horizon: timedelta = HORIZON) -> Forecast:
        """Return the provider's own forecast. Raises ForecastUnavailable when it has none."""
        return await self._loops.run(self._adapter.forecast(zone, horizon))

    async def afetch_mix(self, zone: str) -> EnergyMix:
        """Return what the electricity is made from. Raises MixUnavailable when the provider does not say."""
        return await self._loops.run(self._adapter.mix(zone))
