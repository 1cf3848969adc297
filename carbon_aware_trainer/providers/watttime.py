"""Marginal emissions of regions, every five minutes, with an account. Source: WattTime API, v3."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from carbon_aware_trainer.errors import AnswerRefused, KeyRefused
from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.adapter import TTL_S, check_age, no_mix, ttl_s
from carbon_aware_trainer.providers.asking import Asker, Failure, decode, refusal
from carbon_aware_trainer.providers.desk import Desk, Query
from carbon_aware_trainer.providers.exchange import Exchange
from carbon_aware_trainer.providers.flights import Flights
from carbon_aware_trainer.providers.keys import account_of, clean_key
from carbon_aware_trainer.providers.points import Origin, Point
from carbon_aware_trainer.providers.wire import Question
from carbon_aware_trainer.providers.zones import code_at
from carbon_aware_trainer.records import Basis, EnergyMix, Intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

BASE_URL = "https://api.watttime.org"
HOW = "Make an account as on https://watttime.org/docs-dev and pass user:password as api_key."
LONGEST = timedelta(days=31)
FARTHEST_H = 72
SIGNAL, UNITS = "co2_moer", "lbs_co2_per_mwh"
# The international pound, over kWh per MWh and g per kg.
G_PER_KWH = 0.45359237
# A token holds for 30 minutes.
TOKEN_S = 25 * 60.0
_WHO = "WattTime"
_UNKNOWN_FORM = f"{_WHO} answered in a form that is not known. Check its URL."


class Login:
    """Turns a user and password into a token, which is kept in this object and nowhere else."""

    is_renewable = True

    def __init__(self, api_key: str | None, *, base_url: str = BASE_URL) -> None:
        """Take ``user:password``. Raises KeyRefused when it is something else."""
        user, colon, password = clean_key(api_key, _WHO, HOW).partition(":")
        if not (user and colon and password):
            raise KeyRefused(f"The key for {_WHO} is a user and a password with a colon between. {HOW}")
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._login = Question(f"{base_url.rstrip('/')}/login", {}, {"Authorization": f"Basic {basic}"})
        self.account = account_of(user)
        self._flights = Flights()
        self._token: tuple[float, str] | None = None

    def headers(self, asker: Asker, end_s: float, *, is_again: bool) -> Exchange[Mapping[str, str]]:
        """Return the header with a token; a new one once the last is old or was refused."""
        if is_again or self._token is None or asker.clock() - self._token[0] > TOKEN_S:
            fetch = partial(self._fetch_token, asker, end_s)
            body = yield from self._flights.share(
                "login", fetch, alone=fetch, left_s=lambda: end_s - asker.clock()
            )
            self._token = (asker.clock(), body.decode())
        return {"Authorization": f"Bearer {self._token[1]}"}

    def _fetch_token(self, asker: Asker, end_s: float) -> Exchange[bytes]:
        answer = yield from asker.ask(self._login, end_s)
        if isinstance(answer, Failure):
            raise answer.error
        if answer.status != 200:
            wrong = KeyRefused(f"{_WHO} does not accept the user and password ({answer.status}). {HOW}")
            raise refusal(_WHO, answer, {401: wrong, 403: wrong})
        found = decode(_WHO, answer.body)
        token = found.get("token") if isinstance(found, dict) else None
        if not isinstance(token, str):
            raise AnswerRefused(_UNKNOWN_FORM)
        return clean_key(token, _WHO, HOW).encode()


class WattTime:
    """What one more kWh makes the next power plants emit: never comparable with an average.

    Given by the hour, as the mean of its five minutes; ``latest`` is the five minutes in force.
    """

    name = "watttime"
    basis: Basis = "marginal direct"

    def __init__(self, desk: Desk, *, base_url: str = BASE_URL, stale_after: timedelta) -> None:
        """Take who fetches, the address, and how old a value may be."""
        self._desk, self._base_url, self._stale_after = desk, base_url.rstrip("/"), stale_after

    def check_zone(self, zone: str) -> None:
        """Raise UnknownZone when it is in no list of theirs that is known here."""
        code_at(self.name, zone)

    def latest(self, zone: str) -> Exchange[Intensity]:
        """Return the five minutes in force."""
        query = self._query("forecast", zone, {"horizon_hours": "0"})
        return (yield from self._desk.fetch(query, lambda data: self._latest(data, zone)))

    def history(self, zone: str, start: datetime, end: datetime) -> Exchange[Trace]:
        """Return hours, asked for a month at a time."""
        now, found = self._desk.now, list[Point]()
        for first, last in points.spans(start, min(end, now), longest=LONGEST, step=HOUR):
            span = {"start": _text(first), "end": _text(last)}
            query = self._query("historical", zone, span, kept_s=ttl_s(last, now))
            asked = yield from self._desk.fetch(query, lambda data: self._points(data, zone))
            found += points.within(asked, first, min(last, now))
        whole = points.within(points.hourly(found), start, end)
        return points.trace(whole, self._origin(zone), step=HOUR, who=_WHO)

    def forecast(self, zone: str, horizon: timedelta) -> Exchange[Forecast]:
        """Return up to 72 h; the hour under way is what is left of it."""
        hours = min(FARTHEST_H, math.ceil(horizon / HOUR))
        query = self._query("forecast", zone, {"horizon_hours": str(hours)})
        found, made_at = yield from self._desk.fetch_dated(query, lambda data: self._points(data, zone))
        now = self._desk.now
        whole = points.hourly(found, partial=points.floor(now, HOUR))
        known = points.trace(whole, self._origin(zone), step=HOUR, who=_WHO)
        return points.forecast(
            known, now=now, horizon=horizon, method=self.name,
            made_at=made_at, stale_after=self._stale_after,
        )  # fmt: skip

    def mix(self, zone: str) -> Exchange[EnergyMix]:
        """Raise MixUnavailable: what is marginal has no mix."""
        yield from ()
        raise no_mix(_WHO, zone)

    def _query(self, path: str, zone: str, params: Mapping[str, str], *, kept_s: float = TTL_S) -> Query:
        asked = {"region": code_at(self.name, zone), "signal_type": SIGNAL, **params}
        refusals = {
            401: KeyRefused(f"{_WHO} does not accept the user and password (401). {HOW}"),
            403: KeyRefused(
                f"{_WHO} does not show {zone} to this account (403). Without a subscription only CAISO_NORTH "
                "(US-CA) is shown: use it, or subscribe."
            ),
            400: AnswerRefused(f"{_WHO} does not know {asked['region']} or that time (400). Check the zone."),
            404: AnswerRefused(f"{_WHO} has no such page (404). Check that its URL is {BASE_URL}."),
        }
        return Query(f"{self._base_url}/v3/{path}", asked, kept_s, refusals)

    def _origin(self, zone: str) -> Origin:
        return Origin(zone, self.name, self.basis)

    def _latest(self, data: object, zone: str) -> Intensity:
        known = [point for point in self._points(data, zone) if point.g_per_kwh is not None]
        if not known:
            raise AnswerRefused(f"{_WHO} has no value of {zone} for now. Try again later.")
        meta: Any = data["meta"]  # type: ignore[index]
        newest = min(known, key=lambda point: point.at)
        value = Intensity(
            zone,
            newest.g_per_kwh or 0.0,
            self.name,
            "marginal, direct",
            None,
            f"{_WHO}, region {code_at(self.name, zone)}",
            self.basis,
            at=newest.at,
            updated_at=points.optional_moment(meta.get("generated_at"), _WHO),
        )
        return check_age(value, now=self._desk.now, limit=self._stale_after)

    def _points(self, data: object, zone: str) -> list[Point]:
        """Return an answer's values in g/kWh, once it is sure that they are of that region and unit."""
        wanted = code_at(self.name, zone)
        try:
            meta: Any = data["meta"]  # type: ignore[index]
            for key, expected in (("region", wanted), ("signal_type", SIGNAL), ("units", UNITS)):
                if meta.get(key, None if key == "units" else expected) != expected:
                    raise AnswerRefused(f"{_WHO} answered with {key} {meta.get(key)!r}, not {expected}.")
            entries: Any = data["data"]  # type: ignore[index]
            return [
                Point(points.moment(entry["point_time"], _WHO), _g_per_kwh(entry["value"]))
                for entry in entries
            ]
        except (AttributeError, KeyError, TypeError) as err:
            raise AnswerRefused(_UNKNOWN_FORM) from err


def _g_per_kwh(value: object) -> float | None:
    # a number that fits no float is refused below as it is
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        return points.intensity(value * G_PER_KWH, _WHO)
    return points.optional_intensity(value, _WHO)


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
