"""Which forecasts of a zone are averaged: both ridges, unless the back-test clearly says otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting import backtest
from carbon_aware_trainer.forecasting.backtest import Captured, Tested
from carbon_aware_trainer.forecasting.hours import Hours
from carbon_aware_trainer.forecasting.inputs import YEAR_H

# The share of the oracle's saving by which another blend has to be better: less is chance with some hundred
# replayed jobs, and the back-test knows less history than the forecast will.
CLEARLY = 0.03


def usual(known_h: int) -> tuple[float, float]:
    """Return the weights of a ridge by the hour of the day and of one of all hours, for a length of history.

    The first has more weights to learn: after a year it counts as much as the other, after three years three
    times as much.
    """
    years = known_h / YEAR_H
    return years / (years + 1), 1 / (years + 1)


def choose(hours: Hours, tested: Tested) -> tuple[tuple[float, float, float], Captured]:
    """Return the weights of both ridges and the profile: the usual ones where none is clearly better."""
    first, second = usual(int(hours.is_known.sum()))
    with_profile = (first * 2 / 3, second * 2 / 3, 1 / 3)
    default = (first, second, 0.0)
    others = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), with_profile, (0.0, 0.0, 1.0))
    judged = {
        weights: backtest.captured(hours, tested.at, mix(tested.expected, weights))
        for weights in (default, *others)
    }
    best = max(judged, key=lambda weights: judged[weights].mean)
    chosen = best if judged[best].mean > judged[default].mean + CLEARLY else default
    return chosen, judged[chosen]


def mix(expected: Sequence[npt.NDArray[np.float32]], weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the weighted mean of forecasts of the same hours."""
    used = [np.float32(weight) * rows for rows, weight in zip(expected, weights, strict=True) if weight]
    return np.sum(used, axis=0, dtype=np.float32) if len(used) > 1 else used[0]
