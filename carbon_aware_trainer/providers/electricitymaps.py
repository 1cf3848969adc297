"""Zones all over the world, hourly, with a key. Source: Electricity Maps API, v4 (v3 has the same paths)."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from carbon_aware_trainer.errors import AnswerRefused, ForecastUnavailable, IntensityUnavailable, KeyRefused
from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.adapter import TTL_S, check_age, ttl_s
from carbon_aware_trainer.providers.desk import Desk, Query
from carbon_aware_trainer.providers.exchange import Exchange
from carbon_aware_trainer.providers.points import Origin, Point
from carbon_aware_trainer.providers.zones import code_at
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

BASE_URL = "https://api.electricitymaps.com/v4"
HEADER = "auth-token"
HOW = "Make one at https://portal.electricitymaps.com and pass it as api_key."
LONGEST = timedelta(hours=240)
RECENT = timedelta(hours=24)
HORIZONS_H = (6, 24, 48, 72)
_WHO = "Electricity Maps"
_FACTORS: dict[Basis, str] = {"average lifecycle": "lifecycle", "average direct": "direct"}


class ElectricityMaps:
    """The average intensity of what is consumed, with what building the plants emits unless asked without."""

    name = "electricitymaps"

    def __init__(
        self, desk: Desk, *, base_url: str = BASE_URL, basis: Basis | None = None, stale_after: timedelta
    ) -> None:
        """Take who fetches, the address, what a kWh is charged with, and how old a value may be."""
        self._desk, self._base_url, self._stale_after = desk, base_url.rstrip("/"), stale_after
        self.basis: Basis = basis if basis in _FACTORS else "average lifecycle"

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when it is in no list of theirs that is known here."""
        code_at(self.name, zone)

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the hour in force."""
        query = self._query("carbon-intensity/latest", zone)
        return (yield from self._desk.fetch(query, lambda data: self._latest(data, zone)))

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return hours, asked for ten days at a time; of the last day from the route that every key has."""
        now, found = self._desk.now, list[Point]()
        if start >= now - RECENT:
            query = self._query("carbon-intensity/history", zone)
            asked = yield from self._desk.fetch(query, lambda data: self._points(data, zone))
            found += points.within(asked, start, min(end, now))
        else:
            for first, last in points.spans(start, min(end, now), longest=LONGEST, step=HOUR):
                span = {"start": _text(first), "end": _text(last)}
                query = self._query("carbon-intensity/past-range", zone, span, kept_s=ttl_s(last, now))
                asked = yield from self._desk.fetch(query, lambda data: self._points(data, zone))
                found += points.within(asked, max(first, start), min(last, end, now))
        return points.trace(found, self._origin(zone), step=HOUR, who=_WHO)

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return up to 72 h. Raises ForecastUnavailable for a key without forecasts, as free ones are."""
        hours = next((hours for hours in HORIZONS_H if hours * HOUR >= horizon), HORIZONS_H[-1])
        query = self._query("carbon-intensity/forecast", zone, {"horizonHours": str(hours)}, is_forecast=True)
        found, made_at = yield from self._desk.fetch_dated(query, lambda data: self._points(data, zone))
        known = points.trace(found, self._origin(zone), step=HOUR, who=_WHO)
        return points.forecast(
            known, now=self._desk.now, horizon=horizon, method=self.name,
            made_at=made_at, stale_after=self._stale_after,
        )  # fmt: skip

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Return what is consumed in the hour in force."""
        query = self._query("power-breakdown/latest", zone)
        return (yield from self._desk.fetch(query, lambda data: self._mix(data, zone)))

    def _query(
        self, path: str, zone: str, params: dict[str, str] | None = None, *,
        kept_s: float = TTL_S, is_forecast: bool = False,
    ) -> Query:  # fmt: skip
        asked = {"zone": code_at(self.name, zone), "disableCallerLookup": "true", **(params or {})}
        if path.startswith("carbon-intensity"):
            asked["emissionFactorType"] = _FACTORS[self.basis]
        return Query(f"{self._base_url}/{path}", asked, kept_s, _refusals(zone, is_forecast=is_forecast))

    def _origin(self, zone: str) -> Origin:
        return Origin(zone, self.name, self.basis)

    def _checked(self, data: object, zone: str) -> dict[str, Any]:
        """Return an answer that is about the zone and on the basis that were asked for.

        An unknown zone is answered with the caller's own.
        """
        wanted = code_at(self.name, zone)
        if not isinstance(data, dict) or "zone" not in data:
            raise AnswerRefused(f"{_WHO} answered in a form that is not known. Check its URL.")
        if data["zone"] != wanted:
            raise AnswerRefused(f"{_WHO} answered about {data['zone']}, not {wanted}. Check the zone.")
        factor = data.get("emissionFactorType")
        if factor not in (None, _FACTORS[self.basis]):
            raise AnswerRefused(f"{_WHO} answered with {factor} emission factors, not {self.basis} ones.")
        return data

    def _latest(self, data: object, zone: str) -> Intensity:
        found = self._checked(data, zone)
        if found.get("carbonIntensity") is None:
            raise AnswerRefused(f"{_WHO} has no value of {zone} for now. Try again later.")
        value = Intensity(
            zone,
            points.intensity(found["carbonIntensity"], _WHO),
            self.name,
            f"average of consumption, {_FACTORS[self.basis]}",
            None,
            f"{_WHO}, zone {found['zone']}",
            self.basis,
            at=points.moment(found.get("datetime"), _WHO),
            updated_at=points.optional_moment(found.get("updatedAt"), _WHO),
            is_estimated=found.get("isEstimated"),
        )
        return check_age(value, now=self._desk.now, limit=self._stale_after)

    def _points(self, data: object, zone: str) -> list[Point]:
        found = self._checked(data, zone)
        entries = next((found[key] for key in ("forecast", "history", "data") if key in found), None)
        try:
            return [
                Point(
                    points.moment(entry["datetime"], _WHO),
                    points.optional_intensity(entry["carbonIntensity"], _WHO),
                )
                for entry in entries or ()
            ]
        except (KeyError, TypeError) as err:
            raise AnswerRefused(f"{_WHO} answered in a form that is not known. Check its URL.") from err

    def _mix(self, data: object, zone: str) -> EnergyMix:
        found = self._checked(data, zone)
        used = found.get("powerConsumptionBreakdown")
        watts = {k: v for k, v in used.items() if v and v > 0} if isinstance(used, dict) else {}
        if not watts:
            raise AnswerRefused(f"{_WHO} does not say what the electricity of {zone} is made from now.")
        total = math.fsum(watts.values())
        return EnergyMix(
            zone,
            self.name,
            points.moment(found.get("datetime"), _WHO),
            {source: value / total for source, value in watts.items()},
            points.share(found.get("renewablePercentage"), _WHO),
            found.get("isEstimated"),
        )


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _refusals(zone: str, *, is_forecast: bool) -> dict[int, IntensityUnavailable]:
    """Return what a status means. A free key has one zone and no forecast."""
    return {
        401: KeyRefused(f"{_WHO} does not accept the key (401). Check it. {HOW}"),
        403: ForecastUnavailable(
            f"{_WHO} gives no forecast of {zone} with this key (403). One of its history can be made."
        )
        if is_forecast
        else KeyRefused(
            f"{_WHO} does not show {zone} with this key (403). A free key has one zone, chosen at "
            "https://portal.electricitymaps.com: choose this one there, or set that one here."
        ),
        404: AnswerRefused(
            f"{_WHO} does not know {code_at('electricitymaps', zone)} or its URL is wrong (404)."
        ),
    }
