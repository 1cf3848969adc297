"""The power of runs over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from schema import Lease, PowerPoint
from store.connection import Connection
from store.encoding import round_figure, to_json, to_time
from store.keys import Keys

MAX_POINTS: Final = 200


class Power:
    """One bounded series per run: when it is full, neighbours are merged and the interval doubles."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def append(self, lease: Lease, points: Sequence[PowerPoint], *, interval_s: float) -> float:
        """Add points, each the mean of ``interval_s``, to the run that is held; return the next interval.

        Fewer than MAX_POINTS are kept. Atomic (append_power.lua); points that are not newer than the newest
        are left out, so it may be repeated. Raises LeaseLost when the run is no longer held.
        """
        rows = [_encode(point) for point in points]
        holder: tuple[str | int, ...] = (lease.run_id, lease.attempt, lease.worker_id)
        key = self._keys.of("power", lease.run_id)
        return float(self._connection.run("append_power", [key], [*holder, MAX_POINTS, interval_s, *rows]))

    def list(self, run_id: str) -> tuple[PowerPoint, ...]:
        """Return the points of a run, oldest first; none where it was too short or nothing could be read."""
        rows = self._connection.call("LRANGE", self._keys.of("power", run_id), 1, -1)
        points = map(json.loads, rows)
        return tuple(PowerPoint(at=to_time(at_s), power_w=power_w) for at_s, power_w, *_ in points)


def _encode(point: PowerPoint) -> str:
    power_w = {key: round_figure(value) for key, value in point.power_w.items()}
    return to_json([round(point.at.timestamp(), 3), power_w])
