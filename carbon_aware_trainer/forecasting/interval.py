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


def measure(expected: Floats, actual: Floats, hour: Ints) -> Floats:
    """Return the quantiles of actual / expected, [low or high, groups of hours ahead, hours of the day].

    expected, actual: [n, hours ahead], from one hour ahead on; NaN in actual is unknown. hour: [n], in which
    each was made, hours since 1970.
    """
    ahead = np.arange(1, expected.shape[1] + 1)
    group = _group_of(ahead)
    time_of_day = (hour[:, None] + ahead) % DAY_H
    ratio = actual / np.maximum(expected, _LEAST_G_PER_KWH)
    quantiles = ((1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2)
    bounds = np.empty((2, len(_LAST_OF_GROUP), DAY_H))
    for g in range(len(_LAST_OF_GROUP)):
        columns = group == g
        for h in range(DAY_H):
            errors = ratio[:, columns][time_of_day[:, columns] == h]
            errors = errors[np.isfinite(errors)]
            bounds[:, g, h] = np.quantile(errors, quantiles) if len(errors) >= _LEAST_ERRORS else _UNKNOWN
    return bounds


def around(expected: Floats, bounds: Floats, hour: int) -> tuple[Floats, Floats]:
    """Return the interval of values from one hour ahead on. expected: [hours ahead]."""
    ahead = np.arange(1, len(expected) + 1)
    low, high = bounds[:, _group_of(ahead), (hour + ahead) % DAY_H]
    held = np.maximum(expected, _LEAST_G_PER_KWH)
    return np.minimum(held * low, expected), np.maximum(held * high, expected)


def _group_of(ahead: Ints) -> Ints:
    return np.minimum(np.searchsorted(_LAST_OF_GROUP, ahead), len(_LAST_OF_GROUP) - 1)
