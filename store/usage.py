"""How busy the hosts and the trainings of runs were, over time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from schema import Lease, UsagePoint
from store.connection import Connection
from store.encoding import round_figure, to_json, to_time
from store.keys import Keys
from store.metric_arrays import POINT, Points

MAX_POINTS: Final = 80
# As scripts of one's own call theirs, so that a page needs to know one name only.
PREFIX: Final = "system/"
_DIGITS: Final = 5


class Usage:
    """One bounded series per run: when it is full, neighbours are merged and the interval doubles."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def append(self, lease: Lease, points: Sequence[UsagePoint], *, interval_s: float) -> float:
        """Add points, each the mean of ``interval_s``, to the run that is held; return the next interval.

        Fewer than MAX_POINTS are kept. Atomic (append_usage.lua); points that are not newer than the newest,
        by whole seconds, are left out, so it may be repeated. Raises LeaseLost when the run is not held.
        """
        rows = [_encode(point) for point in points]
        holder: tuple[str | int, ...] = (lease.run_id, lease.attempt, lease.worker_id)
        key = self._keys.of("usage", lease.run_id)
        return float(self._connection.run("append_usage", [key], [*holder, MAX_POINTS, interval_s, *rows]))

    def list(self, run_id: str) -> tuple[UsagePoint, ...]:
        """Return the points of a run, oldest first; none where it was too short or nothing could be read."""
        return decode_usage(self._connection.call("LRANGE", self._keys.of("usage", run_id), 0, -1))


def decode_usage(rows: Sequence[str]) -> tuple[UsagePoint, ...]:
    """Read what append_usage.lua wrote."""
    if not rows:
        return ()
    _, *names = json.loads(rows[0])
    return tuple(_decode(names, json.loads(row)) for row in rows[1:])


def to_metrics(points: Sequence[UsagePoint], started_at: datetime | None) -> Mapping[str, Points]:
    """Return usage as metrics; the step is the whole seconds since the run was started."""
    if not points:
        return {}
    first = min(started_at or points[0].at, points[0].at).timestamp()
    found: dict[str, Points] = {}
    for name in sorted({name for point in points for name in point.values}):
        known = [point for point in points if name in point.values]
        array = np.empty(len(known), POINT)
        array["time"] = [point.at.timestamp() for point in known]
        array["step"] = np.rint(array["time"] - first)
        array["value"] = [point.values[name] for point in known]
        found[f"{PREFIX}{name}"] = array
    return found


def _encode(point: UsagePoint) -> str:
    values = {name: round_figure(value, _DIGITS) for name, value in point.values.items()}
    return to_json([round(point.at.timestamp()), values])


def _decode(names: Sequence[str], row: Sequence[float | None]) -> UsagePoint:
    at_s, *values = row
    # A row that was written before a later column was known is shorter.
    known = {name: value for name, value in zip(names, values, strict=False) if value is not None}
    return UsagePoint(at=to_time(at_s or 0.0), values=known)
