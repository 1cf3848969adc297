"""Writes a file of cached data to try things with: a made-up grid with a day's and a week's shape."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers.points import floor
from carbon_aware_trainer.providers.zones import canonical
from carbon_aware_trainer.records import Basis
from carbon_aware_trainer.traces import HOUR

FORECAST_H = 96
LONGEST_DAYS = 3660
SYNTHETIC = (
    "Synthetic: made up by a formula from the zone's name and the time. It is no measurement of any grid; "
    "use it to try things out, never to report emissions."
)
_BASIS: Basis = "average lifecycle"


def write_sample(path: Path, zones: Sequence[str], *, days: int, now: datetime) -> Path:
    """Write ``days`` of hours up to now and a forecast of 96 h, as JSON that says it is synthetic.

    The same zone and hour get the same value in every file. Raises CarbonError for what cannot be written.
    """
    if not zones:
        raise CarbonError("Name at least one zone, such as US-CA.")
    if not 1 <= days <= LONGEST_DAYS:
        raise CarbonError(f"{days} days cannot be written. Choose 1 to {LONGEST_DAYS}.")
    last = floor(now, HOUR)
    data = {
        "note": SYNTHETIC,
        "provider": "synthetic",
        "basis": _BASIS,
        "written_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "regions": {zone: _region(zone, last - timedelta(days=days) + HOUR, last) for zone in zones},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.part")  # who reads the file meanwhile has the old one, whole
        half.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        half.replace(path)
    except OSError as err:
        raise CarbonError(f"{path} cannot be written: {err.strerror}. Choose another place.") from err
    return path


def synthetic_g_per_kwh(zone: str, at: datetime) -> float:
    """Return a made-up intensity: cleaner at noon, in summer and at weekends, with wind that comes and goes.

    It depends on nothing but the zone and the hour.
    """
    seed = zlib.crc32(canonical(zone).encode())
    hour = at.hour + at.minute / 60
    year = math.cos(2 * math.pi * (at.timetuple().tm_yday - 20) / 365)
    level = 150 + seed % 350
    height = max(0.0, math.cos(math.pi * (hour - 12.5) / 13))
    sun = math.pow(height, 1.5) * (0.42 - 0.16 * year)
    evening = math.exp(-(((hour - 19) / 2.4) ** 2)) * 0.16
    night = math.exp(-(((hour - 3) / 3.5) ** 2)) * -0.06
    weekend = -0.07 if at.weekday() >= 5 else 0.0
    value = level * (1 + 0.07 * year - sun + evening + night + weekend + _weather(seed, at))
    return round(max(8.0, value), 1)


def _region(zone: str, first: datetime, last: datetime) -> dict[str, list[dict[str, object]]]:
    hours = round((last - first) / HOUR) + 1
    past = [first + i * HOUR for i in range(hours)]
    return {
        "historical": [_entry(at, synthetic_g_per_kwh(zone, at)) for at in past],
        "forecast": [_entry(at, _expected(zone, at, ahead_h=i)) for i, at in _ahead(last)],
    }


def _ahead(last: datetime) -> list[tuple[int, datetime]]:
    return [(i, last + i * HOUR) for i in range(1, FORECAST_H + 1)]


def _expected(zone: str, at: datetime, *, ahead_h: int) -> float:
    """Return a forecast with an error that grows, as real ones have."""
    seed = zlib.crc32(f"{canonical(zone)} expected".encode())
    error = _draw(seed, round(at.timestamp() / 3600)) * (0.03 + 0.08 * ahead_h / FORECAST_H)
    return round(max(8.0, synthetic_g_per_kwh(zone, at) * (1 + error)), 1)


def _entry(at: datetime, g_per_kwh: float) -> dict[str, object]:
    return {"timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "carbon_intensity": g_per_kwh}


def _weather(seed: int, at: datetime) -> float:
    """Return wind over days and a little noise: between draws of every 9 hours, smoothly."""
    place = at.timestamp() / 3600 / 9
    before, part = math.floor(place), place - math.floor(place)
    smooth = part * part * (3 - 2 * part)
    slow = _draw(seed, before) * (1 - smooth) + _draw(seed, before + 1) * smooth
    return 0.16 * slow + 0.02 * _draw(seed + 1, round(at.timestamp() / 3600))


def _draw(seed: int, number: int) -> float:
    """Return a number between -1 and 1 that looks drawn and is always the same."""
    return zlib.crc32(f"{seed} {number}".encode()) / 2**31 - 1
