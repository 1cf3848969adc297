"""Recorded traces in a folder, and the part of each that is simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting.hours import Hours, to_hours
from carbon_aware_trainer.providers import files, points
from carbon_aware_trainer.providers.points import Origin
from carbon_aware_trainer.traces import HOUR, Trace

FOLDER = Path(__file__).parent / "traces"
YEAR_H = 365 * 24
# With at least 18 months of history its last year is simulated, else its last half.
LONG_H = YEAR_H * 3 // 2


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A trace and the first hour that is simulated; nothing from there on is known before it has passed."""

    name: str
    trace: Trace
    hours: Hours
    first: int


def read(path: Path) -> Trace:
    """Read ``<zone>__<source>.csv`` as the product reads it: rows that are missing are gaps.

    Raises IntensityUnavailable for a file of another form or of several zones, or with steps that no hour
    has, AnswerRefused for times and values that cannot be true.
    """
    zones = files.read(path).zones
    if len(zones) > 1:
        raise IntensityUnavailable(f"{path} has {len(zones)} zones. Give each a file <zone>__<source>.csv.")
    ((zone, recorded),) = zones.items()
    origin = Origin(zone, recorded.source or "file", "average lifecycle")
    trace = points.trace(recorded.historical, origin, who=str(path))
    if trace.step > HOUR or HOUR % trace.step:
        raise IntensityUnavailable(f"{path} has a value every {trace.step}. Give steps that divide an hour.")
    return trace


def cases(folder: Path, zones: Sequence[str]) -> list[Case]:
    """Read the traces of a folder, all or those of the zones named."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        if zones and path.stem not in zones and path.stem.partition("__")[0] not in zones:
            continue
        trace = read(path)
        hours = to_hours(trace)
        first = len(hours) - YEAR_H if len(hours) >= LONG_H else len(hours) // 2
        found.append(Case(path.stem, trace, hours, first))
    if not found:
        wanted = f" of {', '.join(zones)}" if zones else ""
        raise SystemExit(f"{folder} has no trace{wanted}. Traces are named <zone>__<source>.csv.")
    return found
