"""How the points of a metric are written in Redis, and what is known of them without reading them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from schema import MetricPoints, MetricSummary

# One point, as it is stored: later versions read it too.
POINT: Final = np.dtype([("step", "<i8"), ("value", "<f8"), ("time", "<f8")])
# The order of what is kept of a metric, texts all, for a step may have more digits than a Lua number.
METRIC_FIELDS: Final = ("count", "last_step", "last_value", "min", "max", "sum", "unknown")
# Of these metrics the first that a run has, with values that can be one, is its accuracy, and its loss.
ACCURACIES: Final = ("test_accuracy", "val_accuracy", "validation_accuracy", "accuracy")
LOSSES: Final = ("test_loss", "val_loss", "validation_loss", "loss")

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
    known = dict(zip(METRIC_FIELDS, from_json(stored), strict=False))
    return MetricSummary(
        name=name,
        count=int(known["count"]),
        last_step=int(known["last_step"]),
        last_value=float(known["last_value"]),
        min=float(known["min"]) if known["min"] else None,
        max=float(known["max"]) if known["max"] else None,
    )
