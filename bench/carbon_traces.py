"""Recorded traces in a folder, and the part of each that is simulated."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting.hours import Hours, to_hours
from carbon_aware_trainer.traces import Trace

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
    """Read ``<zone>__<source>.csv`` with the columns datetime and carbon_intensity.

    Raises IntensityUnavailable for a file of another form.
    """
    zone, _, source = path.stem.partition("__")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        at = [datetime.fromisoformat(row["datetime"]) for row in rows]
        values = [float(row["carbon_intensity"] or "nan") for row in rows]
        step = at[1] - at[0]
    except (KeyError, ValueError, IndexError) as err:
        raise IntensityUnavailable(
            f"{path} is no trace: it needs datetime,carbon_intensity in two rows."
        ) from err
    g_per_kwh = np.full(round((at[-1] - at[0]) / step) + 1, np.nan)
    g_per_kwh[[round((moment - at[0]) / step) for moment in at]] = values
    return Trace(zone, source or "file", "average lifecycle", at[0], step, g_per_kwh)


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
