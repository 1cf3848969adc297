"""Which forecasts of a zone are averaged, with which weights: the ones that captured most in the back-test."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting import backtest
from carbon_aware_trainer.forecasting.backtest import Captured, Tested
from carbon_aware_trainer.forecasting.hours import Hours


def candidates(count: int) -> list[tuple[float, ...]]:
    """Return the weights that are tried for ``count`` forecasts: each subset, evenly."""
    chosen = [subset for subset in itertools.product((0, 1), repeat=count) if any(subset)]
    return [tuple(used / sum(subset) for used in subset) for subset in chosen]


def choose(hours: Hours, tested: Tested) -> tuple[tuple[float, ...], Captured]:
    """Return the weights of the candidates with the highest captured saving, and that."""
    judged = {
        weights: backtest.captured(hours, tested.at, mix(tested.expected, weights))
        for weights in candidates(len(tested.expected))
    }
    best = max(judged, key=lambda weights: judged[weights].mean)
    return best, judged[best]


def mix(expected: Sequence[npt.NDArray[np.float32]], weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the weighted mean of forecasts of the same hours."""
    used = [np.float32(weight) * rows for rows, weight in zip(expected, weights, strict=True) if weight]
    return np.sum(used, axis=0, dtype=np.float32) if len(used) > 1 else used[0]
