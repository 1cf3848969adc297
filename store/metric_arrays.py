"""How the points of a metric are written in Redis, and what is known of them without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from schema import EpochResult, MetricPoints, MetricSummary, Series

# One point, as it is stored: later versions read it too.
POINT: Final = np.dtype([("step", "<i8"), ("value", "<f8"), ("time", "<f8")])
# The order of what is kept of a metric, texts all, for a step may have more digits than a Lua number.
METRIC_FIELDS: Final = ("count", "last_step", "last_value", "min", "max", "sum", "unknown")
# Of these metrics the first that a run has, with values that can be one, is its accuracy, and its loss.
ACCURACIES: Final = ("test_accuracy", "val_accuracy", "validation_accuracy", "eval_accuracy", "accuracy")
LOSSES: Final = ("test_loss", "val_loss", "validation_loss", "eval_loss", "loss")

# What of an epoch of a run of the queue is a metric.
EPOCH_METRICS: Final = (
    *("co2_g", "duration_s", "energy_kwh", "test_accuracy", "test_loss", "train_accuracy", "train_loss"),
    *("validation_accuracy", "validation_loss"),
)

Points = NDArray[np.void]
_WORDS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def to_array(points: MetricPoints) -> Points:
    """Return the points as one array of POINT, in their order."""
    array = np.empty(len(points.steps), POINT)
    array["step"] = points.steps
    array["value"] = [_WORDS[value] if isinstance(value, str) else value for value in points.values]
    array["time"] = points.times
    return array


def to_bytes(points: Points) -> bytes:
    """Write points as records of 24 bytes."""
    return points.tobytes()


def from_bytes(stored: bytes) -> Points:
    """Read what was appended; half a record at its end, which no script leaves, would be a torn store."""
    return np.frombuffer(stored, POINT)


def summarise(points: Points) -> tuple[str, ...]:
    """Return what METRIC_FIELDS names of one or more points.

    last: of those of the largest step the one that came last. min, max, sum: of the finite values; min and
    max are empty without one. unknown: how many values are not finite.
    """
    values = points["value"]
    last = len(points) - 1 - int(np.argmax(points["step"][::-1]))
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        total = float(finite.sum())
    return (
        str(len(points)),
        str(int(points["step"][last])),
        repr(float(values[last])),
        repr(float(finite.min())) if len(finite) else "",
        repr(float(finite.max())) if len(finite) else "",
        repr(total),
        str(len(points) - len(finite)),
    )


def decode_summary(name: str, stored: str) -> MetricSummary:
    """Read what is kept of a metric."""
    return to_summary(name, from_json(stored))


def to_summary(name: str, kept: Sequence[str]) -> MetricSummary:
    """Return what METRIC_FIELDS names as it travels; a later version may keep more."""
    known = dict(zip(METRIC_FIELDS, kept, strict=False))
    return MetricSummary(
        name=name,
        count=int(known["count"]),
        last_step=int(known["last_step"]),
        last_value=float(known["last_value"]),
        min=float(known["min"]) if known["min"] else None,
        max=float(known["max"]) if known["max"] else None,
    )


def of_epochs(epochs: Sequence[EpochResult]) -> dict[str, Points]:
    """Return what the epochs of a run of the queue, oldest first, are as metrics; the step is the epoch.

    A figure that is not known is no point; NaN stands for a time that is not.
    """
    found: dict[str, Points] = {}
    for name in EPOCH_METRICS:
        known = [result for result in epochs if getattr(result, name) is not None]
        if known:
            array = np.empty(len(known), POINT)
            array["step"] = [result.epoch for result in known]
            array["value"] = [getattr(result, name) for result in known]
            array["time"] = [result.ended_at.timestamp() if result.ended_at else np.nan for result in known]
            found[name] = array
    return found


def to_series(points: Points, *, total: int, costs: NDArray[np.float64] | None = None) -> Series:
    """Return points as they travel; of ``total`` ones these were chosen. costs: NaN for unknown."""
    times: list[float | None] = points["time"].tolist()
    if np.isnan(points["time"]).any():
        times = [None if time != time else time for time in times]  # NaN alone differs from itself
    return Series.model_construct(
        steps=points["step"].tolist(),
        values=points["value"].tolist(),
        times=times,
        total=total,
        is_downsampled=len(points) < total,
        costs=None if costs is None else [None if cost != cost else cost for cost in costs.tolist()],
    )


def accuracy_among(kept: Sequence[str | None]) -> MetricSummary | None:
    """Return what is known of the metric that is a run's accuracy, of ACCURACIES as they are kept.

    As record_points.lua decides it: the first whose values can be one. None where there is none.
    """
    for name, stored in zip(ACCURACIES, kept, strict=True):
        metric = decode_summary(name, stored) if stored else None
        if (
            metric
            and metric.min is not None
            and metric.max is not None
            and 0 <= metric.min <= metric.max <= 1
        ):
            return metric
    return None


def value_bytes(place: int) -> tuple[int, int]:
    """Return where in the string of a metric the value of a point is: its first and its last byte."""
    start = place * POINT.itemsize + POINT["step"].itemsize
    return start, start + POINT["value"].itemsize - 1


def value_of(stored: bytes) -> float:
    """Read the bytes of one value."""
    return float(np.frombuffer(stored, POINT["value"])[0])
