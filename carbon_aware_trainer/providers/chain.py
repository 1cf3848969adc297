"""A provider, and the one to ask when it fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from carbon_aware_trainer.errors import (
    BasesMixed,
    ForecastUnavailable,
    IntensityUnavailable,
    MixUnavailable,
    UnknownZone,
)
from carbon_aware_trainer.providers.patience import Budget, budget_in_force, within
from carbon_aware_trainer.providers.provider import HORIZON, Provider
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import Forecast, Trace

log = logging.getLogger(__name__)
T = TypeVar("T")
# These are answers, not failures: another provider's forecast would not fit this one's history.
_ANSWERS = (UnknownZone, ForecastUnavailable, MixUnavailable)


class Chain:
    """Asks ``primary``; when it fails, ``fallback``, whose whole answer is taken and carries its own name.

    A series is of one provider from end to end. Raises BasesMixed for providers on two bases; the primary's
    error, with the fallback's, when both fail.
    """

    def __init__(self, primary: Provider, fallback: Provider) -> None:
        """Check that the two may stand in for each other."""
        if primary.basis != fallback.basis:
            raise BasesMixed(
                f"{fallback.name} cannot stand in for {primary.name}: its figures are {fallback.basis}, not "
                f"{primary.basis}. Choose a fallback on the same basis."
            )
        self._primary, self._fallback = primary, fallback

    @property
    def name(self) -> str:
        """The primary's."""
        return self._primary.name

    @property
    def basis(self) -> Basis:
        """That of both."""
        return self._primary.basis

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when one of the two does not have that zone."""
        self._primary.check_zone(zone)
        self._fallback.check_zone(zone)

    def fetch_latest(self, zone: str) -> Intensity:
        """Return the intensity in force now."""
        return self._either(lambda provider: provider.fetch_latest(zone))

    def fetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        """Return what one of the two recorded, all of it from that one."""
        return self._either(lambda provider: provider.fetch_history(zone, start, end))

    def fetch_forecast(self, zone: str, horizon: timedelta = HORIZON) -> Forecast:
        """Return the forecast of one of the two. Raises ForecastUnavailable when the primary has none."""
        return self._either(lambda provider: provider.fetch_forecast(zone, horizon))

    def fetch_mix(self, zone: str) -> EnergyMix:
        """Return what the electricity is made from. Raises MixUnavailable when the primary does not say."""
        return self._either(lambda provider: provider.fetch_mix(zone))

    async def afetch_latest(self, zone: str) -> Intensity:
        """Return the intensity in force now."""
        return await self._aeither(lambda provider: provider.afetch_latest(zone))

    async def afetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        """Return what one of the two recorded, all of it from that one."""
        return await self._aeither(lambda provider: provider.afetch_history(zone, start, end))

    async def afetch_forecast(self, zone: str, horizon: timedelta = HORIZON) -> Forecast:
        """Return the forecast of one of the two. Raises ForecastUnavailable when the primary has none."""
        return await self._aeither(lambda provider: provider.afetch_forecast(zone, horizon))

    async def afetch_mix(self, zone: str) -> EnergyMix:
        """Return what the electricity is made from. Raises MixUnavailable when the primary does not say."""
        return await self._aeither(lambda provider: provider.afetch_mix(zone))

    def _either(self, fetch: Callable[[Provider], T]) -> T:
        try:
            with within(_half()):
                return fetch(self._primary)
        except _ANSWERS:
            raise
        except IntensityUnavailable as first:
            self._tell(first)
            try:
                return fetch(self._fallback)
            except IntensityUnavailable as second:
                raise type(first)(f"{first} {second}") from second

    async def _aeither(self, fetch: Callable[[Provider], Awaitable[T]]) -> T:
        try:
            with within(_half()):
                return await fetch(self._primary)
        except _ANSWERS:
            raise
        except IntensityUnavailable as first:
            self._tell(first)
            try:
                return await fetch(self._fallback)
            except IntensityUnavailable as second:
                raise type(first)(f"{first} {second}") from second

    def _tell(self, error: IntensityUnavailable) -> None:
        log.warning("intensity from %s instead of %s: %s", self._fallback.name, self._primary.name, error)


def _half() -> Budget | None:
    """Leave the fallback as much time as the primary gets."""
    budget = budget_in_force()
    return None if budget is None else budget.half()
