"""How the values of an array are spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from training_monitor.errors import MonitorError
from training_monitor.media.arrays import load_numpy, to_array

MOST_BINS: Final = 256
# Counted in pieces, so that the copies as float64 stay small.
_AT_ONCE: Final = 1 << 18
_NARROWEST: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Histogram:
    """``counts[i]`` values from ``edges[i]`` up to ``edges[i + 1]``, of the last bin both ends."""

    edges: list[float]
    counts: list[int]
    nonfinite: int


def count(values: Any, bins: int = 64) -> Histogram:
    """Return the histogram of all values over equal bins from the lowest finite one to the highest.

    Where all are one value, or too close for so many numbers between them, it is one bin.
    Raises MonitorError for what is no array of numbers, and an empty one.
    """
    numpy = load_numpy()
    if not 1 <= bins <= MOST_BINS:
        raise MonitorError(f"A histogram has 1 to {MOST_BINS} bins, not {bins}.")
    array = to_array(values).reshape(-1)
    if not array.size:
        raise MonitorError("There is no histogram of no values.")
    with numpy.errstate(all="ignore"):
        return _count(array, bins)


def _count(array: Any, bins: int) -> Histogram:
    numpy = load_numpy()
    ranges = [(part.min(), part.max(), part.size) for part in _finite(array) if part.size]
    finite = sum(size for _, _, size in ranges)
    nonfinite = int(array.size) - finite
    if not finite:
        return Histogram([0.0, 1.0], [0], nonfinite)
    low, high = float(min(low for low, _, _ in ranges)), float(max(high for _, high, _ in ranges))
    # A quarter of each, so that no span is infinite.
    edges = numpy.linspace(low / 4, high / 4, bins + 1)
    if high / 4 - low / 4 < _NARROWEST or not (numpy.diff(edges) > 0).all():
        return Histogram(_around(low, high), [finite], nonfinite)
    counts = sum(numpy.histogram(part / 4, bins, (low / 4, high / 4))[0] for part in _finite(array))
    edges = edges * 4
    edges[0], edges[-1] = low, high
    return Histogram(edges.tolist(), counts.tolist(), nonfinite)


def _finite(array: Any) -> Iterator[Any]:
    numpy = load_numpy()
    for start in range(0, array.size, _AT_ONCE):
        part = array[start : start + _AT_ONCE].astype(numpy.float64)
        yield part[numpy.isfinite(part)]


def _around(low: float, high: float) -> list[float]:
    if low < high:
        return [low, high]
    most = float(load_numpy().finfo("float64").max)
    room = abs(low) / 100 or 0.5
    return [max(low - room, -most), min(low + room, most)]
