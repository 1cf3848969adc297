"""Histograms of many steps on one scale, so that they can be drawn beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schema import HistogramSeries

BINS = 72
# What lies beyond on either side, of every step, is not worth making all the rest narrow.
_TAIL = 0.0005


@dataclass(frozen=True)
class Shares:
    """How the values of each step are spread over the same bins."""

    edges: NDArray[np.float64]
    """[bins + 1], rising."""
    shares: NDArray[np.float64]
    """[steps, bins], fractions of a step's finite values; NaN where a step has none."""

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        return self.edges[1:] / 2 + self.edges[:-1] / 2


def on_one_scale(
    edges: Sequence[Sequence[float]], counts: Sequence[Sequence[int]], *, bins: int = BINS
) -> Shares | None:
    """Spread each step's counts over common bins, as if values were even within one of its own bins.

    None when no step has a finite value.
    """
    # In units of the largest: the difference of two ends may be more than a float can hold.
    scale = max((abs(edge) for own in edges for edge in (own[0], own[-1])), default=0.0) or 1.0
    steps = [_cumulated(own, tallies, scale) for own, tallies in zip(edges, counts, strict=True)]
    filled = [step for step in steps if step is not None]
    if not filled:
        return None
    low = min(_quantile(step, _TAIL) for step in filled)
    high = max(_quantile(step, 1 - _TAIL) for step in filled)
    if not low < high:
        low, high = low - 0.5, high + 0.5
    grid = np.linspace(low, high, bins + 1)
    rows = [np.full(bins, np.nan) if step is None else np.diff(np.interp(grid, *step)) for step in steps]
    return Shares(scale * grid, np.array(rows))


def merge(known: HistogramSeries, news: HistogramSeries) -> HistogramSeries:
    """Add what came since to a series, and leave out what the server keeps no more."""
    newest = max([*news.numbers, *known.numbers], default=0)
    rows = [
        row
        for series in (known, news)
        for row in zip(
            series.steps, series.numbers, series.times, series.edges, series.counts, series.nonfinite,
            strict=True,
        )
        if row[1] == newest or (row[1] - 1) % news.stride == 0
    ]  # fmt: skip
    rows.sort(key=lambda row: row[:2])
    return HistogramSeries(
        steps=[row[0] for row in rows],
        numbers=[row[1] for row in rows],
        times=[row[2] for row in rows],
        edges=[row[3] for row in rows],
        counts=[row[4] for row in rows],
        nonfinite=[row[5] for row in rows],
        stride=news.stride,
    )


def choose_rows(count: int, most: int) -> list[int]:
    """Choose at most so many of ``count`` rows, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, most)})


def _cumulated(
    edges: Sequence[float], counts: Sequence[int], scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    total = sum(counts)
    if not total:
        return None
    return np.asarray(edges, dtype=float) / scale, np.concatenate(
        [[0.0], np.cumsum(counts, dtype=float) / total]
    )


def _quantile(step: tuple[NDArray[np.float64], NDArray[np.float64]], share: float) -> float:
    edges, cumulated = step
    return float(np.interp(share, cumulated, edges))
