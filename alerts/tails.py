"""The newest points of the metrics that the queue's own runs have: one per epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from alerts.ports import RunStore

EPOCH_METRICS: Final = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "validation_loss", "validation_accuracy"),
    *("duration_s", "energy_kwh", "co2_g"),
)


class EpochTail:
    """Reads metrics from epochs; a figure that is not known is no point."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    def list_tail(self, run_id: str, metric: str, points: int) -> Sequence[float]:
        """Return at most ``points`` newest values, oldest first; [] for what is no metric of an epoch."""
        if metric not in EPOCH_METRICS:
            return []
        epochs = self._runs.list_last_epochs(run_id, points)
        values = [getattr(result, metric) for result in epochs]
        return [float(value) for value in values if value is not None]

    def find_not_finite(self, run_id: str) -> str | None:
        """Return the name of a metric of the last epoch that is not finite."""
        for result in self._runs.list_last_epochs(run_id, 1):
            for metric in EPOCH_METRICS:
                value = getattr(result, metric)
                if value is not None and not math.isfinite(value):
                    return metric
        return None
