"""A provider: a campus that mixes its own solar power with the grid's, and publishes g/kWh by the hour.

Its server answers ``{"hours": [{"at": "2026-03-01T12:00Z", "g_per_kwh": 120}, …]}`` to
``GET /hours?from=…&to=…``, which may reach into the future.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from carbon_aware_trainer.errors import AnswerRefused, UnknownZone
from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.adapter import TTL_S, check_age, no_mix
from carbon_aware_trainer.providers.choose import ProviderSetup
from carbon_aware_trainer.providers.desk import Query
from carbon_aware_trainer.providers.exchange import Exchange
from carbon_aware_trainer.providers.points import Origin, Point
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

WHO = "The campus"
ZONE = "CAMPUS"


class Campus:
    """Asks WATTLE_CARBON_URL; it has one zone."""

    name = "campus"
    basis: Basis = "average lifecycle"

    def __init__(self, setup: ProviderSetup) -> None:
        self._desk = setup.desk(self.name)
        self._url = (setup.base_url or "https://energy.campus.example").rstrip("/")
        self._stale_after = setup.stale_after

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone for any other zone."""
        if zone != ZONE:
            raise UnknownZone(f"{WHO} has no data of {zone}. Use its zone, {ZONE}.")

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the hour in force now."""
        now = self._desk.now
        found = yield from self._hours(zone, points.floor(now, HOUR), now + HOUR)
        begun = [point for point in found if point.at <= now and point.g_per_kwh is not None]
        if not begun:
            raise AnswerRefused(f"{WHO} has no value for now. Try again in a few minutes.")
        newest = max(begun, key=lambda point: point.at)
        value = Intensity(
            zone, newest.g_per_kwh or 0.0, self.name, "average", None, self._url, self.basis, at=newest.at
        )
        return check_age(value, now=now, limit=self._stale_after)

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return hours that are over."""
        found = yield from self._hours(zone, start, end)
        return points.trace(points.within(found, start, end), self._origin(zone), step=HOUR, who=WHO)

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return the hours to come."""
        now = self._desk.now
        found = yield from self._hours(zone, points.floor(now, HOUR), now + horizon)
        known = points.trace(found, self._origin(zone), step=HOUR, who=WHO)
        return points.forecast(
            known, now=now, horizon=horizon, method=self.name, stale_after=self._stale_after
        )

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Raise MixUnavailable: it does not say."""
        yield from ()
        raise no_mix(self.name, zone)

    def _hours(self, zone: str, start: datetime, end: datetime) -> Exchange[list[Point]]:
        self.check_zone(zone)
        query = Query(f"{self._url}/hours", {"from": start.isoformat(), "to": end.isoformat()}, TTL_S)
        return (yield from self._desk.fetch(query, _points))

    def _origin(self, zone: str) -> Origin:
        return Origin(zone, self.name, self.basis)


def _points(data: object) -> list[Point]:
    try:
        hours = data["hours"]  # type: ignore[index] # what is no such thing is refused
        return [
            Point(points.moment(hour["at"], WHO), points.optional_intensity(hour["g_per_kwh"], WHO))
            for hour in hours
        ]
    except (KeyError, TypeError) as error:
        raise AnswerRefused(
            f"{WHO} answered in a form that is not known. Check WATTLE_CARBON_URL."
        ) from error
