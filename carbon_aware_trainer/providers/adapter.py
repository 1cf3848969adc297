"""What is particular about one provider, without any I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from carbon_aware_trainer.errors import AnswerRefused, ForecastUnavailable, MixUnavailable
from carbon_aware_trainer.providers.exchange import Exchange
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

# Values are published every five minutes at the most; what was long ago changes when it is revised.
TTL_S, PAST_TTL_S = 300.0, 24 * 3600.0


def ttl_s(end: datetime, now: datetime) -> float:
    """Return for how long an answer about the time up to ``end`` is kept."""
    return PAST_TTL_S if end < now - timedelta(days=2) else TTL_S


class Adapter(Protocol):
    """Knows one provider's zones, questions and answers. See ``Provider`` for what each method gives."""

    name: str
    basis: Basis

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when the provider does not have that zone."""

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the intensity in force now."""

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return what was recorded for the slots that begin in [start, end)."""

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return the provider's own forecast."""

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Return what the electricity is made from."""


def no_forecast(name: str, zone: str, why: str) -> ForecastUnavailable:
    """Return the error of a provider without a forecast of a zone."""
    return ForecastUnavailable(f"{name} has no forecast of {zone}: {why}")


def no_mix(name: str, zone: str) -> MixUnavailable:
    """Return the error of a provider that does not say what a zone's electricity is made from."""
    return MixUnavailable(f"{name} does not say what the electricity of {zone} is made from.")


def check_age(value: Intensity, *, now: datetime, limit: timedelta) -> Intensity:
    """Return a value that is neither too old nor of the future. Raises AnswerRefused for one that is."""
    if value.at is not None and value.at > now + HOUR:
        raise AnswerRefused(
            f"{value.provider}'s newest value of {value.zone} is of {value.at:%Y-%m-%d %H:%M} UTC, which is "
            f"to come. Check the clock of this machine: it says {now:%Y-%m-%d %H:%M} UTC."
        )
    if value.at is not None and now - value.at > limit:
        hours = (now - value.at) / HOUR
        raise AnswerRefused(
            f"{value.provider}'s newest value of {value.zone} is of {value.at:%Y-%m-%d %H:%M} UTC, "
            f"{hours:.1f} h ago; {limit / HOUR:g} h are allowed. "
            "Wait for a newer one, or name a fallback."
        )
    return value
