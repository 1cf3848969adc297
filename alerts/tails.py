"""The newest points of metrics: of the queue's own runs one per epoch, of scripts what they report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alerts.ports import MetricStore, RunStore
from schema import Run

EPOCH_METRICS: Final = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "validation_loss", "validation_accuracy"),
    *("duration_s", "energy_kwh", "co2_g"),
)


class StoreTail:
    """Reads metrics of the queue's runs from their epochs, and those of scripts from what they report.

    A figure of an epoch that is not known is no point.
    """

    def __init__(self, runs: RunStore, metrics: MetricStore) -> None:
        self._runs = runs
        self._metrics = metrics

    def list_tail(self, run: Run, metric: str, points: int) -> Sequence[float]:
        """Return at most ``points`` newest values, oldest first; [] for no metric of the run."""
        if run.is_external:
            return self._metrics.list_tail(run.run_id, metric, points)
        if metric not in EPOCH_METRICS:
            return []
        epochs = self._runs.list_last_epochs(run.run_id, points)
        values = [getattr(result, metric) for result in epochs]
        return [float(value) for value in values if value is not None]

    def find_not_finite(self, run: Run) -> str | None:
        """Return the name of a metric whose last value is not finite; no epoch is kept with one."""
        return self._metrics.find_not_finite(run.run_id) if run.is_external else None
