"""How far off forecasts were, by hours ahead and time of day: what the interval of the next one rests on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting.hours import DAY_H, Floats
from carbon_aware_trainer.traces import INTERVAL_LEVEL

Ints = npt.NDArray[np.int64]
# Hours ahead that are alike: the last of each group.
_LAST_OF_GROUP = np.array([1, 2, 3, 6, 12, 24, 48, 96, 216])
_LEAST_G_PER_KWH = 1.0
# With fewer errors than this in a group no quantile is taken: the interval of a value is its half and double.
_LEAST_ERRORS = 20
_UNKNOWN = (0.5, 2.0)
# Quantiles of the past are too narrow for what comes; how much wider is seen on its own later half.
_WIDEST = 2.0


def measure(expected: Floats, actual: Floats, hour: Ints) -> Floats:
    """Return the quantiles of actual / expected, [low or high, groups of hours ahead, hours of the day].

    They are widened by what the quantiles of the first half needed to hold in the second, by groups of hours
    ahead: by its root, since the quantiles of all rest on twice as much. After split conformal prediction,
    Lei et al. 2018.

    expected, actual: [n, hours ahead], from one hour ahead on; NaN in actual is unknown. hour: [n], in which
    each was made, hours since 1970.
    """
    ahead = np.arange(1, expected.shape[1] + 1)
    group = _group_of(ahead)
    time_of_day = (hour[:, None] + ahead) % DAY_H
    ratio = actual / np.maximum(expected, _LEAST_G_PER_KWH)
    half = len(ratio) // 2
    wider = _wider(
        _quantiles(ratio[:half], group, time_of_day[:half]), ratio[half:], group, time_of_day[half:]
    )
    bounds = _quantiles(ratio, group, time_of_day)
    return np.maximum(1 + (bounds - 1) * np.sqrt(wider)[:, None], 0.0)


def _wider(bounds: Floats, ratio: Floats, group: Ints, time_of_day: Ints) -> Floats:
    """Return by how much bounds have to be wider to hold what they did not know, by group of hours ahead."""
    low, high = bounds[:, group, time_of_day]
    room = np.where(ratio < 1, 1 - low, high - 1)
    needed = np.abs(ratio - 1) / np.maximum(room, 1e-6)
    factors = np.ones(len(_LAST_OF_GROUP))
    for g in range(len(factors)):
        known = needed[:, group == g]
        known = known[np.isfinite(known)]
        if len(known) >= _LEAST_ERRORS * DAY_H:
            factors[g] = np.clip(np.quantile(known, INTERVAL_LEVEL), 1.0, _WIDEST)
    return factors


def _quantiles(ratio: Floats, group: Ints, time_of_day: Ints) -> Floats:
    quantiles = ((1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2)
    bounds = np.empty((2, len(_LAST_OF_GROUP), DAY_H))
    for g in range(len(_LAST_OF_GROUP)):
        columns = group == g
        for h in range(DAY_H):
            errors = ratio[:, columns][time_of_day[:, columns] == h]
            errors = errors[np.isfinite(errors)]
            bounds[:, g, h] = np.quantile(errors, quantiles) if len(errors) >= _LEAST_ERRORS else _UNKNOWN
    return np.stack([np.minimum(bounds[0], 1.0), np.maximum(bounds[1], 1.0)])


def around(expected: Floats, bounds: Floats, hour: int) -> tuple[Floats, Floats]:
    """Return the interval of values from one hour ahead on. expected: [hours ahead]."""
    ahead = np.arange(1, len(expected) + 1)
    low, high = bounds[:, _group_of(ahead), (hour + ahead) % DAY_H]
    held = np.maximum(expected, _LEAST_G_PER_KWH)
    return np.minimum(held * low, expected), np.maximum(held * high, expected)


def lower(expected: Floats, bounds: Floats, hour: Ints) -> Floats:
    """Return the low ends of forecasts made in the hours ``hour``. expected: [n, hours ahead]."""
    ahead = np.arange(1, expected.shape[1] + 1)
    low = bounds[0, _group_of(ahead), (hour[:, None] + ahead) % DAY_H]
    return np.asarray(np.minimum(np.maximum(expected, _LEAST_G_PER_KWH) * low, expected))


def _group_of(ahead: Ints) -> Ints:
    return np.minimum(np.searchsorted(_LAST_OF_GROUP, ahead), len(_LAST_OF_GROUP) - 1)
