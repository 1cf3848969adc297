"""Grid zones under one code each, and what every provider calls them."""

from __future__ import annotations

import csv
import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files

from carbon_aware_trainer.errors import UnknownZone

PROVIDERS = ("electricitymaps", "watttime", "uk", "static")


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the grid: its code here, its name, and its code at each provider that knows it."""

    code: str
    name: str
    at: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


@functools.cache
def list_zones() -> tuple[Zone, ...]:
    """Return every zone of the table (zones.csv)."""
    text = (files("carbon_aware_trainer.providers") / "zones.csv").read_text(encoding="utf-8")
    return tuple(
        Zone(
            row["code"],
            row["name"],
            {name: row[name] for name in PROVIDERS if row[name]},
            tuple(row["aliases"].split()),
        )
        for row in csv.DictReader(text.splitlines())
    )


@functools.cache
def _by_name() -> dict[str, Zone]:
    """Index zones by code, alias and every provider's code; the first in the table wins."""
    index: dict[str, Zone] = {}
    for zone in list_zones():
        index.setdefault(_plain(zone.code), zone)
    for zone in list_zones():
        for name in (*zone.aliases, *zone.at.values(), zone.name):
            index.setdefault(_plain(name), zone)
    return index


def find_zone(code: str) -> Zone | None:
    """Return the zone of a code, an alias or a name, whatever its case; None when there is none."""
    return _by_name().get(_plain(code))


def get_zone(code: str) -> Zone:
    """Return the zone of a code, an alias or a name. Raises UnknownZone, naming near ones."""
    zone = find_zone(code)
    if zone is None:
        raise UnknownZone(
            f"{code!r} is no known zone. Use a code such as US-CA, GB or DE.{near(code, list_zones())}"
        )
    return zone


def code_at(provider: str, code: str) -> str:
    """Return what a provider calls a zone. Raises UnknownZone, naming near ones that it has."""
    zone = find_zone(code)
    if zone is not None and provider in zone.at:
        return zone.at[provider]
    theirs = [zone for zone in list_zones() if provider in zone.at]
    why = f"{code!r} is no known zone" if zone is None else f"{provider} has no data of {code}"
    raise UnknownZone(f"{why}. Use one of its zones, such as {theirs[0].code}.{near(code, theirs)}")


def canonical(code: str) -> str:
    """Return the table's code of a zone, or the code itself where the table has none."""
    zone = find_zone(code)
    return code if zone is None else zone.code


def near(code: str, zones: Iterable[Zone]) -> str:
    """Return a sentence that names the zones most like ``code``; empty without any."""
    listed = list(zones)
    names = {
        _plain(name): zone for zone in reversed(listed) for name in (zone.name, *zone.aliases, zone.code)
    }
    wanted = _plain(code)
    found = [names[name] for name in difflib.get_close_matches(wanted, names, n=4, cutoff=0.6)]
    if country := wanted.split("-")[0]:
        found += [zone for zone in listed if _plain(zone.code).split("-")[0] == country][:4]
    unique = list(dict.fromkeys(f"{zone.code} ({zone.name})" for zone in found))[:4]
    return f" Near ones: {', '.join(unique)}." if unique else ""


def _plain(name: str) -> str:
    return name.strip().upper().replace("_", "-")
