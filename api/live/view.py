"""What those who watch a live view see, as messages: all of it first, then what is new; docs/live.md."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from schema import EpochResult, Run
from schema.live import DEFAULT_VIEW, MAX_POINTS, LiveEntry, LivePoint, Mosaic

Message = dict[str, Any]
MetricPoint = tuple[int, float]

# All metrics of a run together have so many points here and in a snapshot, and each at least a few.
METRICS_POINTS: Final = 50_000
FEWEST_POINTS: Final = 16
_WORDS: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

# Pictures faster than this are a flicker.
MOSAIC_INTERVAL_S: Final = 0.1


class LiveView:
    """One view as it is now, and what has changed since the last message about it."""

    def __init__(self, view: str, place: str) -> None:
        self.place = place
        """The newest update that is read."""
        self._run_id = None if view == DEFAULT_VIEW else view
        self._points: deque[LivePoint] = deque(maxlen=MAX_POINTS)
        self._last: LiveEntry | None = None
        self._mosaic: Mosaic | None = None
        self._epochs: dict[int, EpochResult] = {}
        self._metrics: dict[str, deque[MetricPoint]] = {}
        self._new_metrics: dict[str, list[MetricPoint]] = {}
        self.metric_counts: dict[str, int] = {}
        """How many points of each metric are known."""
        self._run: Run | None = None
        self._next_mosaic_s = 0.0
        self._new_points: list[LivePoint] = []
        self._new_epochs: list[EpochResult] = []
        self._has_new_mosaic = self._has_new_run = self._has_started = False

    @property
    def run_id(self) -> str | None:
        """The run it belongs to; None for the default view."""
        return self._run_id

    def take(self, entries: Iterable[LiveEntry]) -> None:
        """Add updates, oldest first."""
        for entry in entries:
            if entry.is_start:
                self._points.clear()
                self._new_points.clear()
                self._last = self._mosaic = None
                self._has_new_mosaic, self._has_started = False, True
            else:
                self._points.extend(entry.points)
                self._new_points.extend(entry.points)
                self._last = entry

    def wants_mosaic(self, now_s: float) -> bool:
        """Tell whether there is a newer mosaic, and the last one has been seen for a moment."""
        if self._last is None or now_s < self._next_mosaic_s:
            return False
        known = 0 if self._mosaic is None else self._mosaic.number
        return self._last.mosaic > known

    def take_mosaic(self, mosaic: Mosaic | None, now_s: float) -> None:
        """Show another mosaic; None where there is none."""
        self._next_mosaic_s = now_s + MOSAIC_INTERVAL_S
        if mosaic is not None:
            self._mosaic, self._has_new_mosaic = mosaic, True

    def take_run(self, run: Run | None, epochs: Sequence[EpochResult]) -> None:
        """Show what has become of the run."""
        self._has_new_run = self._has_new_run or run != self._run
        self._run = run
        self._new_epochs += epochs
        self._epochs |= {epoch.epoch: epoch for epoch in epochs}

    def take_metrics(self, metrics: Mapping[str, tuple[int, Sequence[MetricPoint]]]) -> None:
        """Add points of metrics in the order in which they came; of each how many there are now."""
        before = points_of_each(len(self._metrics))
        most = points_of_each(len(self._metrics.keys() | metrics.keys()))
        if most < before:
            self._metrics = {name: deque(known, maxlen=most) for name, known in self._metrics.items()}
        for name, (count, points) in metrics.items():
            self.metric_counts[name] = count
            self._metrics.setdefault(name, deque(maxlen=most)).extend(points)
            self._new_metrics.setdefault(name, []).extend(points)

    @property
    def is_external(self) -> bool:
        """Whether it is of a script's run, which has metrics and no epochs."""
        return self._run is not None and self._run.is_external

    def snapshot(self) -> Message:
        """Return all of it, as whoever comes gets it."""
        epochs = [self._epochs[number] for number in sorted(self._epochs)]
        return {
            "type": "snapshot",
            "run_id": self._run_id,
            **self._state(),
            "points": _columns(self._points),
            "mosaic": None if self._mosaic is None else self._mosaic.model_dump(mode="json"),
            "run": self._show_run(),
            "epochs": [epoch.model_dump(mode="json") for epoch in epochs],
            "metrics": {name: _series(known) for name, known in self._metrics.items()},
        }

    def take_news(self) -> Message | None:
        """Return what has changed since the last time; None when nothing has."""
        if self._has_started:
            self._forget_news()
            return self.snapshot()
        news: Message = {}
        if self._new_points:
            news |= {"points": _columns(self._new_points[-MAX_POINTS:]), **self._state()}
        if self._has_new_mosaic and self._mosaic is not None:
            news["mosaic"] = self._mosaic.model_dump(mode="json")
        if self._new_epochs:
            news["epochs"] = [epoch.model_dump(mode="json") for epoch in self._new_epochs]
        if self._new_metrics:
            news["metrics"] = {name: _series(points) for name, points in self._new_metrics.items()}
        if self._has_new_run:
            news["run"] = self._show_run()
        self._forget_news()
        return {"type": "update", **news} if news else None

    def _forget_news(self) -> None:
        self._new_points, self._new_epochs, self._new_metrics = [], [], {}
        self._has_new_mosaic = self._has_new_run = self._has_started = False

    def _state(self) -> Message:
        last = self._last
        newest = self._points[-1] if self._points else None
        return {
            "iteration": None if newest is None else newest.iteration,
            "loss": None if newest is None else newest.loss,
            "updated_at": None if last is None else last.at_s,
            "batch_size": None if last is None else last.batch_size,
            "delay_ms": 0.0 if last is None else last.delay_ms,
            "aggregated": 0 if last is None else last.aggregated,
            "is_ready": last is not None and last.is_ready,
        }

    def _show_run(self) -> Message | None:
        run = self._run
        if run is None:
            return None
        return {
            "run_id": run.run_id,
            "name": run.name,
            "status": run.status.value,
            "epochs_done": run.epochs_done,
            "num_epochs": run.num_epochs,
            "best_accuracy": run.best_accuracy,
            "hyper_params": run.hyper_params,
        }


def points_of_each(metrics: int) -> int:
    """Return how many points of each metric are kept of a run that has so many metrics."""
    return min(MAX_POINTS, max(FEWEST_POINTS, METRICS_POINTS // max(1, metrics)))


def _columns(points: Iterable[LivePoint]) -> Message:
    listed = list(points)
    return {
        "iterations": [point.iteration for point in listed],
        "losses": [point.loss for point in listed],
    }


def _series(points: Collection[MetricPoint]) -> Message:
    values = [value if math.isfinite(value) else _WORDS[str(value)] for _, value in points]
    return {"steps": [step for step, _ in points], "values": values}


def encode(message: Message, *, now_s: float) -> bytes:
    """Write a message, with the time at which it is sent."""
    return json.dumps({**message, "sent_at": round(now_s, 4)}, separators=(",", ":")).encode()
