"""The points of the metrics of runs whose own scripts report them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from errors import FieldError, InvalidInput, NotFound
from schema import BatchReply, MetricPoints, MetricSummary, PointsRequest, Run, day_of
from store.connection import Argument, Connection
from store.keys import Keys
from store.metric_arrays import Points, decode_summary, from_bytes, summarise, to_array, to_bytes

MAX_SESSIONS: Final = 10_000


@dataclass(frozen=True)
class MetricLimits:
    """How much of one run is kept."""

    metrics: int = 2_000
    points: int = 2_000_000
    """Of one metric."""
    batch_points: int = 100_000


_LIMITS: Final = MetricLimits()


class Metrics:
    """One appended string per metric, and what is known of each without reading it."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def record(
        self, run: Run, batch: PointsRequest, *, at: datetime, limits: MetricLimits = _LIMITS
    ) -> BatchReply:
        """Take in a batch of points, and bring the run's summary, sums and places in sorted lists up to date.

        Atomic (record_points.lua). A batch whose number is not above the last one of its session is a no-op.
        A run that was ended for its silence runs again. What was used counts in the totals of the day of
        ``at``. Raises NotFound without such a run, Conflict for a run of the queue, and InvalidInput where
        the batch would pass a limit; nothing is written then.
        """
        added = sum(len(points.steps) for points in batch.points.values())
        if added > limits.batch_points:
            raise _too_many(added, limits.batch_points)
        arguments: list[Argument] = [run.run_id, batch.session, batch.seq, limits.metrics, limits.points]
        arguments += [MAX_SESSIONS, day_of(at), run.options.project]
        for name, points in batch.points.items():
            arguments += _metric(name, points)
        keys = [self._keys.of(part, run.run_id) for part in ("run", "metrics", "sources")]
        accepted, request = self._connection.run("record_points", keys, arguments)
        return BatchReply(seq=batch.seq, accepted=accepted, request=request or None)

    def list(self, run_id: str) -> Sequence[MetricSummary]:
        """Return what is known of every metric of a run, by name."""
        stored: Mapping[str, str] = self._connection.call("HGETALL", self._keys.of("metrics", run_id))
        return [decode_summary(name, stored[name]) for name in sorted(stored)]

    def get(self, run_id: str, name: str) -> Points:
        """Return all points of a metric by step, those of one step in the order in which they came.

        Raises NotFound when the run has no such metric.
        """
        stored = self._connection.read_bytes(self._keys.of("points", run_id, name))
        if stored is None:
            raise NotFound(
                f"Run {run_id} has no metric {name!r}. GET /api/metrics/{run_id} lists those it has."
            )
        points = from_bytes(stored)
        return points[np.argsort(points["step"], kind="stable")]


def _metric(name: str, points: MetricPoints) -> Sequence[Argument]:
    """Write the points of a metric as the script wants them; none of it where there are none."""
    if not points.steps:
        return []
    array = to_array(points)
    return [name, to_bytes(array), *summarise(array)]


def _too_many(points: int, limit: int) -> InvalidInput:
    return InvalidInput(
        f"The batch has {points} points, more than {limit}, the limit set by WATTLE_MAX_BATCH_POINTS. Send "
        "smaller ones; nothing of it was stored.",
        details=[FieldError("points", f"at most {limit} points in all")],
    )
