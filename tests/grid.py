"""Grids for tests: a file of intensities, and days that pass in seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

STEP_S = 2


def write_replay(
    path: Path, zones: Mapping[str, Sequence[tuple[float, float]]], *, start: datetime, before_s: float = 60
) -> None:
    """Write what zones emit from ``start`` on, in slots of 2 s: (seconds, g/kWh) in turn.

    Before ``start`` the first value held. The file holds it as recorded and as forecast; what is recorded is
    known only once its time has come.
    """
    regions = {zone: _region(phases, start, before_s) for zone, phases in zones.items()}
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{path.name}.new"
    fresh.write_text(json.dumps({"regions": regions}))
    fresh.replace(path)  # at once: a program may be reading it


def slot_of(at: datetime) -> datetime:
    """Return the begin of the slot that holds a time."""
    seconds = at.timestamp() // STEP_S * STEP_S
    return datetime.fromtimestamp(seconds, UTC)


def _region(
    phases: Sequence[tuple[float, float]], start: datetime, before_s: float
) -> dict[str, list[dict[str, object]]]:
    whole = [(before_s, phases[0][1]), *phases]
    at = start - timedelta(seconds=before_s)
    points: list[dict[str, object]] = []
    for length_s, g_per_kwh in whole:
        for _ in range(round(length_s / STEP_S)):
            points.append({"timestamp": at.isoformat(), "carbon_intensity": g_per_kwh})
            at += timedelta(seconds=STEP_S)
    return {"historical": points, "forecast": points}
