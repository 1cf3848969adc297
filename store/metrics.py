"""The points of metrics: scripts report theirs, those of a run of the queue are its epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from errors import FieldError, InvalidInput, NotFound
from schema import BatchReply, Method, MetricPoints, MetricSummary, PointsRequest, Run, Series, day_of
from schema.metrics import CostName
from store.connection import Argument, Connection
from store.costs import Sums, by_step, by_time, of_every_epoch
from store.encoding import decode_epochs
from store.keys import Keys
from store.metric_arrays import (
    ACCURACIES,
    POINT,
    Points,
    accuracy_among,
    decode_summary,
    from_bytes,
    of_epochs,
    summarise,
    to_array,
    to_bytes,
    to_series,
    to_summary,
    value_bytes,
    value_of,
)
from store.thinning import between, evenly, thin
from store.usage import PREFIX, decode_usage, to_metrics

MAX_SESSIONS: Final = 10_000

Curve = list[float]
Cells = list[tuple[str, list[Argument]]]


@dataclass(frozen=True)
class MetricLimits:
    """How much of one run is kept."""

    metrics: int = 2_000
    points: int = 2_000_000
    """Of one metric."""
    batch_points: int = 100_000


@dataclass(frozen=True)
class Span:
    """Which points of a metric are wanted."""

    first_step: int | None = None
    last_step: int | None = None
    """Included."""
    points: int = 1_000
    """At most so many, at least 4."""
    method: Method = "minmax"


_LIMITS: Final = MetricLimits()


class Metrics:
    """One appended string per metric, and what is known of each without reading it."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def record(
        self, run_id: str, batch: PointsRequest, *, at: datetime, limits: MetricLimits = _LIMITS
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
        arguments: list[Argument] = [run_id, batch.session, batch.seq, limits.metrics, limits.points]
        arguments += [MAX_SESSIONS, day_of(at)]
        for name, points in batch.points.items():
            arguments += _metric(name, points)
        keys = [self._keys.of(part, run_id) for part in ("run", "metrics", "sources")]
        accepted, request = self._connection.run("record_points", keys, arguments)
        return BatchReply(seq=batch.seq, accepted=accepted, request=request or None)

    def list(self, run: Run) -> Sequence[MetricSummary]:
        """Return what is known of every metric of a run, by name; of a queue's run its epochs and usage."""
        if not run.is_external:
            own = self._of_queue(run)
            return [to_summary(name, summarise(own[name])) for name in sorted(own)]
        stored: Mapping[str, str] = self._connection.call("HGETALL", self._keys.of("metrics", run.run_id))
        return [decode_summary(name, stored[name]) for name in sorted(stored)]

    def read(
        self, run: Run, names: Sequence[str], span: Span, *, cost: CostName | None = None
    ) -> dict[str, Series]:
        """Return points of metrics, those of one step in the order in which they came.

        With ``cost``, each with what the run had used of it by then. Raises NotFound when the run has no such
        metric.
        """
        own = None if run.is_external else self._of_queue(run, [*names, *([cost] if cost else [])])
        spent = None
        if cost is not None:
            spent = self._find(run.run_id, cost) if own is None else _of_epochs(own, cost)
        found = {}
        for name in names:
            points = self.get(run.run_id, name) if own is None else own.get(name)
            if points is None:
                raise _no_metric(run.run_id, name)
            inside = between(points, span.first_step, span.last_step)
            shown = thin(inside, span.points, span.method)
            costs = None
            if cost is not None:
                has_epochs = own is not None and not name.startswith(PREFIX)
                costs = _costs(shown, spent, has_epochs, _start_s(run, points))
            found[name] = to_series(shown, total=len(inside), costs=costs)
        return found

    def get(self, run_id: str, name: str) -> Points:
        """Return all points of a metric of an external run by step. Raises NotFound when it has none such."""
        points = self._find(run_id, name)
        if points is None:
            raise _no_metric(run_id, name)
        return points[np.argsort(points["step"], kind="stable")]

    def _find(self, run_id: str, name: str) -> Points | None:
        stored = self._connection.read_bytes(self._keys.of("points", run_id, name))
        return None if stored is None else from_bytes(stored)

    def list_new(
        self, run_id: str, known: Mapping[str, int], *, most: Callable[[int], int]
    ) -> dict[str, tuple[int, Points]]:
        """Return points of an external run in the order in which they came, behind so many known ones.

        By metric how many points there are now, and the newest of those that are not known. most: how many of
        each, where the run has so many metrics. Metrics without news are left out.
        """
        stored: Mapping[str, str] = self._connection.call("HGETALL", self._keys.of("metrics", run_id))
        counts = {name: decode_summary(name, kept).count for name, kept in stored.items()}
        news = {name: count for name, count in sorted(counts.items()) if count > known.get(name, 0)}
        size, shown = POINT.itemsize, most(len(counts))
        replies = self._connection.call_many(
            [
                (
                    *("GETRANGE", self._keys.of("points", run_id, name)),
                    *(max(known.get(name, 0), count - shown) * size, count * size - 1),
                )
                for name, count in news.items()
            ]
        )
        return {
            name: (count, from_bytes(text.encode("utf-8", "surrogateescape")))
            for (name, count), text in zip(news.items(), replies, strict=True)
        }

    def list_sparklines(self, run_ids: Sequence[str], points: int = 24) -> dict[str, Curve]:
        """Return the accuracies of many external runs as they came, each thinned out evenly.

        Two round trips, and of a curve no more is read than is shown. Empty without a metric that is one.
        """
        stored = self._connection.call_many(
            [("HMGET", self._keys.of("metrics", run_id), *ACCURACIES) for run_id in run_ids]
        )
        cells: Cells = []
        for run_id, kept in zip(run_ids, stored, strict=True):
            if curve := accuracy_among(kept):
                key = self._keys.of("points", run_id, curve.name)
                places = range(curve.count) if curve.count <= points else evenly(curve.count, points)
                cells += [(run_id, ["GETRANGE", key, *value_bytes(int(place))]) for place in places]
        found: dict[str, Curve] = {run_id: [] for run_id in run_ids}
        replies = self._connection.call_many([command for _, command in cells])
        for (run_id, _), text in zip(cells, replies, strict=True):
            if text:  # the points of an archived run may be away while its summary is here
                found[run_id].append(value_of(text.encode("utf-8", "surrogateescape")))
        return {run_id: [value for value in own if math.isfinite(value)] for run_id, own in found.items()}

    def list_tail(self, run_id: str, name: str, points: int) -> Sequence[float]:
        """Return the values of an external run that came last, oldest first; [] for no metric of it."""
        stored = self._connection.read_bytes(
            self._keys.of("points", run_id, name), last=points * POINT.itemsize
        )
        return [float(value) for value in from_bytes(stored or b"")["value"]]

    def find_not_finite(self, run_id: str) -> str | None:
        """Return the name of a metric of an external run whose last value is NaN or infinite."""
        stored: Mapping[str, str] = self._connection.call("HGETALL", self._keys.of("metrics", run_id))
        summaries = (decode_summary(name, stored[name]) for name in sorted(stored))
        return next((known.name for known in summaries if not math.isfinite(float(known.last_value))), None)

    def _of_queue(self, run: Run, names: Sequence[str] = ()) -> Mapping[str, Points]:
        """Return the metrics of a run of the queue, or of these at least: its epochs may be many."""
        found: dict[str, Points] = {}
        if not names or not all(name.startswith(PREFIX) for name in names):
            stored = self._connection.call("HGETALL", self._keys.of("epochs", run.run_id))
            found |= of_epochs(decode_epochs(stored))
        if not names or any(name.startswith(PREFIX) for name in names):
            rows = self._connection.call("LRANGE", self._keys.of("usage", run.run_id), 0, -1)
            found |= to_metrics(decode_usage(rows), run.started_at)
        return found


def _metric(name: str, points: MetricPoints) -> Sequence[Argument]:
    """Write the points of a metric as the script wants them; none of it where there are none."""
    if not points.steps:
        return []
    array = to_array(points)
    return [name, to_bytes(array), *summarise(array)]


def _of_epochs(own: Mapping[str, Points], cost: CostName) -> Points | None:
    return of_every_epoch(own.get(cost), own["duration_s"]) if "duration_s" in own else None


def _costs(points: Points, spent: Points | None, has_epochs: bool, start_s: float) -> Sums:
    """Return what was used by each point: by epochs where it is of one, else by the time."""
    if has_epochs and spent is not None:
        return by_step(points, spent)
    return by_time(points, spent, start_s=start_s)


def _start_s(run: Run, points: Points) -> float:
    """Return when a run began: by the store, or by an earlier point of a script whose clock differs."""
    begun_s = (run.started_at or run.time_added).timestamp()
    return min([begun_s, float(points["time"].min())]) if len(points) else begun_s


def _no_metric(run_id: str, name: str) -> NotFound:
    return NotFound(
        f"Run {run_id} has no metric {name[:80]!r}. GET /api/metrics/{run_id} lists those it has."
    )


def _too_many(points: int, limit: int) -> InvalidInput:
    return InvalidInput(
        f"The batch has {points} points, more than {limit}, the limit set by WATTLE_MAX_BATCH_POINTS. Send "
        "smaller ones; nothing of it was stored.",
        details=[FieldError("points", f"at most {limit} points in all")],
    )
