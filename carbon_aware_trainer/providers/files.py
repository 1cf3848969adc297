"""Files of intensities: JSON, CSV, Parquet and folders of traces, read into zones."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from carbon_aware_trainer.errors import AnswerRefused, ExtraMissing, IntensityUnavailable
from carbon_aware_trainer.providers import points
from carbon_aware_trainer.providers.points import Point
from carbon_aware_trainer.records import Basis

_TIMES, _ZONES, _VALUES = ("timestamp", "datetime", "time"), ("region", "zone"), ("carbon_intensity",)
ENDINGS = (".json", ".csv", ".parquet", ".pq")
_FORMS = (
    'JSON {"regions": {"US-CA": {"historical": [{"timestamp": …, "carbon_intensity": …}]}}}, '
    "CSV with region,timestamp,carbon_intensity, or CSV named ZONE__SOURCE.csv with datetime,carbon_intensity"
)


# (name, mtime in ns, size) of each file
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class Recorded:
    """What a file says of one zone. source: whose figures they are; empty where the file does not say."""

    source: str = ""
    historical: list[Point] = field(default_factory=list)
    forecast: list[Point] = field(default_factory=list)
    renewable: dict[Any, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """What a file or folder holds, by the zone as it is written there."""

    zones: Mapping[str, Recorded]
    basis: Basis | None = None


def read(path: Path) -> Content:
    """Read a file by its ending, or every .csv and .parquet of a folder; it holds at least one zone.

    Raises IntensityUnavailable when it is not there or in no known form, AnswerRefused for absurd values,
    ExtraMissing for Parquet without pyarrow.
    """
    content = _read(path)
    if not content.zones:
        raise IntensityUnavailable(f"{path} has no intensities. Give them in one of these forms: {_FORMS}.")
    return content


def _read(path: Path) -> Content:
    try:
        if path.is_dir():
            return _folder(path)
        kind = path.suffix.lower()
        if kind == ".json":
            return _json(json.loads(path.read_text(encoding="utf-8")), path)
        if kind == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as lines:
                return Content(_rows(csv.DictReader(lines), path))
        if kind in (".parquet", ".pq"):
            return Content(_rows(_parquet(path), path))
    except (OSError, ValueError) as err:
        raise IntensityUnavailable(
            f"{path} cannot be read. Give a file in one of these forms: {_FORMS}."
        ) from err
    raise IntensityUnavailable(f"{path} is in no known form. Give a file in one of these: {_FORMS}.")


def stamp(path: Path) -> Stamp:
    """Return what changes when a file, or one of a folder, is written; empty where there is none."""
    if not path.exists():
        return ()
    listed = _tables(path) if path.is_dir() else [path]
    of_each = ((file.name, file.stat()) for file in listed)
    return tuple((name, found.st_mtime_ns, found.st_size) for name, found in of_each)


def _tables(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.suffix.lower() in (".csv", ".parquet")]


def _folder(path: Path) -> Content:
    zones: dict[str, Recorded] = {}
    for file in _tables(path):
        for zone, recorded in read(file).zones.items():
            if zone in zones:
                raise IntensityUnavailable(
                    f"{path} has {zone} in two files. Keep one: sources are never mixed."
                )
            zones[zone] = recorded
    return Content(zones)


def _json(data: object, path: Path) -> Content:
    regions: Any = data.get("regions") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(regions, dict):
        raise IntensityUnavailable(f'{path} has no "regions". Use one of these forms: {_FORMS}.')
    basis, source = data.get("basis"), str(data.get("provider") or "")
    if basis is not None and basis not in get_args(Basis):
        raise IntensityUnavailable(
            f"{path} has the basis {basis!r}. Use one of {', '.join(get_args(Basis))}."
        )
    try:
        zones = {
            str(zone): Recorded(
                source,
                list(_entries(part.get("historical") or [], path)),
                list(_entries(part.get("forecast") or [], path)),
                _renewable(part.get("historical") or [], path),
            )
            for zone, part in regions.items()
        }
    except (AttributeError, KeyError, TypeError) as err:
        raise IntensityUnavailable(f"{path} is in no known form. Use one of these: {_FORMS}.") from err
    return Content(zones, basis)


def _entries(entries: Iterable[Mapping[str, object]], path: Path) -> Iterator[Point]:
    for entry in entries:
        value = points.optional_intensity(entry["carbon_intensity"], str(path))
        yield Point(points.moment(entry["timestamp"], str(path)), value)


def _renewable(entries: Iterable[Mapping[str, object]], path: Path) -> dict[Any, float]:
    shares = {
        points.moment(entry["timestamp"], str(path)): points.share(
            entry.get("renewable_percentage"), str(path)
        )
        for entry in entries
    }
    return {at: share for at, share in shares.items() if share is not None}


def _rows(rows: Iterable[Mapping[str, object]], path: Path) -> dict[str, Recorded]:
    zone_of_file, _, source = path.stem.partition("__")
    zones: dict[str, Recorded] = {}
    columns: tuple[str | None, ...] = ()
    for number, row in enumerate(rows, start=2):
        columns = columns or tuple(_column(row, names) for names in (_TIMES, _ZONES, _VALUES))
        at, zone, value = columns
        if at is None or value is None:
            raise IntensityUnavailable(f"{path} has no column for it. Use one of these forms: {_FORMS}.")
        who = f"{path}, line {number},"
        point = Point(points.moment(row[at], who), points.optional_intensity(_number(row[value], who), who))
        name = str(row[zone]) if zone else zone_of_file
        if name not in zones:
            zones[name] = Recorded("" if zone else source)
        zones[name].historical.append(point)
    return zones


def _column(row: Mapping[str, object], names: Iterable[str]) -> str | None:
    return next((name for name in names if name in row), None)


def _number(value: object, who: str) -> float | None:
    """Return a cell as a number; an empty one and NaN are missing values."""
    if value is None or value == "":
        return None
    try:
        number = float(str(value))
    except ValueError as err:
        raise AnswerRefused(f"{who} has {value!r} as an intensity, which is no number.") from err
    return None if math.isnan(number) else number


def _parquet(path: Path) -> list[dict[str, object]]:
    try:
        import pyarrow.parquet as parquet  # only who has such files needs it
    except ModuleNotFoundError as err:
        raise ExtraMissing(
            'Parquet files need pyarrow. Run: pip install "wattle[parquet]", or use CSV.'
        ) from err
    rows: list[dict[str, object]] = parquet.read_table(path).to_pylist()
    return rows
