"""What every provider can be asked, from a thread or from an event loop."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import Forecast, Trace

# As far as forecasts of our own reach.
HORIZON = timedelta(hours=96)


class Provider(Protocol):
    """Gives intensities of zones, all on one basis; safe to share between threads and event loops.

    Zones are named by their code here (US-CA), an alias (CISO) or the provider's own (US-CAL-CISO); what
    comes back carries the code that was asked for. Every method raises UnknownZone for a zone the provider
    does not have, KeyRefused, ProviderDown, AnswerRefused or another IntensityUnavailable: never a guess.
    """

    @property
    def name(self) -> str:
        """Who it is: electricitymaps, watttime, uk, static, cached."""

    @property
    def basis(self) -> Basis:
        """What its figures charge a kWh with."""

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone, naming near ones, when the provider does not have that zone. Asks nobody."""

    def fetch_latest(self, zone: str) -> Intensity:
        """Return the intensity in force now."""

    def fetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        """Return what was recorded for the slots that begin in [start, end); its gaps are NaN."""

    def fetch_forecast(self, zone: str, horizon: timedelta = HORIZON) -> Forecast:
        """Return the provider's own forecast, which may end before ``horizon``.

        Raises ForecastUnavailable when it has none.
        """

    def fetch_mix(self, zone: str) -> EnergyMix:
        """Return what the electricity is made from. Raises MixUnavailable when the provider does not say."""

    async def afetch_latest(self, zone: str) -> Intensity:
        """Return the intensity in force now."""

    async def afetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        """Return what was recorded for the slots that begin in [start, end); its gaps are NaN."""

    async def afetch_forecast(self, zone: str, horizon: timedelta = HORIZON) -> Forecast:
        """Return the provider's own forecast. Raises ForecastUnavailable when it has none."""

    async def afetch_mix(self, zone: str) -> EnergyMix:
        """Return what the electricity is made from. Raises MixUnavailable when the provider does not say."""
