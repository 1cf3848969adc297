"""Great Britain and its regions, half-hourly, without a key. Source: carbonintensity.org.uk, API v2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from carbon_aware_trainer.errors import AnswerRefused
from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.adapter import TTL_S, check_age, ttl_s
from carbon_aware_trainer.providers.desk import Desk, Query
from carbon_aware_trainer.providers.exchange import Exchange
from carbon_aware_trainer.providers.points import Origin, Point
from carbon_aware_trainer.providers.zones import code_at
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import Forecast, Trace

BASE_URL = "https://api.carbonintensity.org.uk"
HALF_HOUR = timedelta(minutes=30)
LONGEST = timedelta(days=14)
NATIONAL = "national"
RENEWABLE = frozenset(("biomass", "hydro", "solar", "wind"))
_WHO = "The UK's Carbon Intensity API"
_UNKNOWN_FORM = f"{_WHO} answered in a form that is not known. Check its URL."


class Uk:
    """The average intensity of what is generated and imported, as it is emitted: without building the plants.

    The actual value where there is one, else the forecast for that half hour, marked as estimated; regions
    have forecasts only.
    """

    name = "uk"
    basis: Basis = "average direct"

    def __init__(self, desk: Desk, *, base_url: str = BASE_URL, stale_after: timedelta) -> None:
        """Take who fetches, the address, and how old a value may be."""
        self._desk, self._base_url, self._stale_after = desk, base_url.rstrip("/"), stale_after

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when it is not in Great Britain."""
        code_at(self.name, zone)

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the half hour in force now."""
        now = self._desk.now
        start = points.floor(now, HALF_HOUR)
        region = code_at(self.name, zone)
        path = (
            "/intensity"
            if region == NATIONAL
            else f"/regional/intensity/{_text(start)}/fw24h/regionid/{region}"
        )
        return (yield from self._desk.fetch(self._query(path), lambda data: self._latest(data, zone, region)))

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return half hours, asked for a fortnight at a time."""
        region = code_at(self.name, zone)
        found: list[Point] = []
        for first, last in points.spans(start, min(end, self._desk.now), longest=LONGEST, step=HALF_HOUR):
            query = self._query(_path(region, first, last), ttl_s(last, self._desk.now))
            asked = yield from self._desk.fetch(query, lambda data: _points(data, region))
            # the API also gives the half hour that ends when the question starts
            found += points.within(asked, max(first, start), min(last, end, self._desk.now))
        return points.trace(found, self._origin(zone), step=HALF_HOUR, who=_WHO)

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return up to 48 h."""
        region, now = code_at(self.name, zone), self._desk.now
        path = _path(region, points.floor(now, HALF_HOUR))
        found, made_at = yield from self._desk.fetch_dated(
            self._query(path), lambda data: _points(data, region)
        )
        known = points.trace(found, self._origin(zone), step=HALF_HOUR, who=_WHO)
        return points.forecast(
            known, now=now, horizon=horizon, method="uk", made_at=made_at, stale_after=self._stale_after
        )

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Return the mix of the half hour in force."""
        region = code_at(self.name, zone)
        path = "/generation" if region == NATIONAL else f"/regional/regionid/{region}"
        return (yield from self._desk.fetch(self._query(path), lambda data: _mix(data, zone, region)))

    def _query(self, path: str, kept_s: float = TTL_S) -> Query:
        refused = AnswerRefused(f"{_WHO} did not understand the question. Check that its URL is {BASE_URL}.")
        return Query(self._base_url + path, {}, kept_s, {400: refused, 404: refused})

    def _origin(self, zone: str) -> Origin:
        return Origin(zone, self.name, self.basis)

    def _latest(self, data: object, zone: str, region: str) -> Intensity:
        now = self._desk.now
        entries = [entry for entry in _entries(data, region) if points.moment(entry["from"], _WHO) <= now]
        if not entries:
            raise AnswerRefused(f"{_WHO} has no value of {zone} for now. Try again in a few minutes.")
        entry = max(entries, key=lambda entry: points.moment(entry["from"], _WHO))
        value = Intensity(
            zone,
            points.intensity(_value(entry), _WHO),
            self.name,
            "average of generation and imports, direct",
            None,
            f"carbonintensity.org.uk, region {region}",
            self.basis,
            at=points.moment(entry["from"], _WHO),
            is_estimated=entry["intensity"].get("actual") is None,
        )
        return check_age(value, now=now, limit=self._stale_after)


def _path(region: str, start: datetime, end: datetime | None = None) -> str:
    span = f"{_text(start)}/{'fw48h' if end is None else _text(end)}"
    return f"/intensity/{span}" if region == NATIONAL else f"/regional/intensity/{span}/regionid/{region}"


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _entries(data: object, region: str) -> list[dict[str, Any]]:
    """Return the half hours. Regional answers have them one floor deeper, with the region they are of."""
    try:
        found: Any = data["data"]  # type: ignore[index]
        if region != NATIONAL:
            found = found[0] if isinstance(found, list) else found
            if str(found["regionid"]) != region:
                raise AnswerRefused(f"{_WHO} answered about region {found['regionid']}, not {region}.")
            found = found["data"]
        entries = found if isinstance(found, list) else [found]
        return [{**entry, "from": entry["from"], "intensity": dict(entry["intensity"])} for entry in entries]
    except (KeyError, IndexError, TypeError, ValueError) as err:
        raise AnswerRefused(_UNKNOWN_FORM) from err


def _value(entry: Mapping[str, Any]) -> object:
    actual = entry["intensity"].get("actual")
    return entry["intensity"].get("forecast") if actual is None else actual


def _points(data: object, region: str) -> list[Point]:
    return [
        Point(points.moment(entry["from"], _WHO), points.optional_intensity(_value(entry), _WHO))
        for entry in _entries(data, region)
    ]


def _mix(data: object, zone: str, region: str) -> EnergyMix:
    try:
        found: Any = data["data"] if region == NATIONAL else _entries(data, region)[0]  # type: ignore[index]
        at = points.moment(found["from"], _WHO)
        shares = {part["fuel"]: points.share(part["perc"], _WHO) or 0.0 for part in found["generationmix"]}
    except (KeyError, TypeError, IndexError) as err:
        raise AnswerRefused(_UNKNOWN_FORM) from err
    return EnergyMix(zone, "uk", at, shares, sum(shares[fuel] for fuel in RENEWABLE & shares.keys()))
