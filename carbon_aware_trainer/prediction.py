"""What a run will use: from its own first epochs, or from past runs like it. Pure; intervals are 90 % ones.

Source of the intervals of new observations: Hahn and Meeker 1991, "Statistical Intervals", chapter 4; of the
quantiles: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.90
# The quantile at 0.95 for 1 to 30 degrees of freedom; beyond them one term of its expansion does.
_T_95 = (
    *(6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812),
    *(1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725),
    *(1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697),
)
_NORMAL_95 = 1.6449
# With fewer values, how one depends on the one before cannot be told from them.
_LEAST_FOR_CORRELATION = 3
_MOST_CORRELATION = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted quantity and its interval; a bound is None when nothing is known about it."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class PastRun:
    """What a finished run used, and the work it did for that in units of its own choice."""

    cost: float
    work: float


def t_95(degrees: int) -> float:
    """Return the 0.95 quantile of Student's t, which leaves 5 % at each side."""
    if degrees <= len(_T_95):
        return _T_95[degrees - 1]
    return _NORMAL_95 + _NORMAL_95 * (_NORMAL_95**2 + 1) / (4 * degrees)


def predict_whole(epochs: Sequence[float], *, num_epochs: int, used: float | None = None) -> Estimate | None:
    """Predict the sum over all epochs of a run from its first ones; None before the first.

    epochs: what each one took, oldest first. used: what is used already where that is more than their sum, as
    after an interrupted attempt. The first epoch is left out of the mean from the second on: it warms up.
    The ``m`` epochs to come take ``m`` times the mean of the ``k`` seen, within t x s x sqrt(f x (m + m²/k)),
    the interval of a sum of new observations. f = (1 + r) / (1 - r) widens it where neighbours are alike, as
    on a host that others use too: r is their autocorrelation of lag 1, and t has the degrees of freedom of
    k / f values. From one epoch there is no upper bound. A budget or early stopping may end the run sooner.
    """
    if not epochs:
        return None
    used = sum(epochs) if used is None else used
    left = max(0, num_epochs - len(epochs))
    seen = epochs[1:] or epochs
    mean = sum(seen) / len(seen)
    value = used + left * mean
    if left == 0:
        return Estimate(value, value, value)
    if len(seen) < 2:
        return Estimate(value, used, None)
    variance = sum((cost - mean) ** 2 for cost in seen) / (len(seen) - 1)
    factor = _inflation(seen, mean)
    degrees = max(1, round(len(seen) / factor) - 1)
    half = t_95(degrees) * math.sqrt(variance * factor * (left + left**2 / len(seen)))
    return Estimate(value, max(used, value - half), value + half)


def predict_from_past(past: Sequence[PastRun], work: float) -> Estimate | None:
    """Predict what ``work`` will cost from runs that are done; None without any.

    Each run says what a unit of work cost; the value is their mean, within t x s x sqrt(1 + 1/k). One run
    says nothing about the spread, so neither bound is known then.
    """
    rates = [run.cost / run.work for run in past if run.work > 0]
    if not rates:
        return None
    mean = sum(rates) / len(rates)
    if len(rates) < 2:
        return Estimate(mean * work, None, None)
    variance = sum((rate - mean) ** 2 for rate in rates) / (len(rates) - 1)
    half = t_95(len(rates) - 1) * math.sqrt(variance * (1 + 1 / len(rates)))
    return Estimate(mean * work, max(0.0, mean - half) * work, (mean + half) * work)


def _inflation(seen: Sequence[float], mean: float) -> float:
    """Return how many times as much the mean of a series with memory varies as one without; 1 without.

    The sample's autocorrelation is too small on average, by about (1 + 3r) / k; that is added.
    Source: Marriott and Pope 1954, "Bias in the estimation of autocorrelations", Biometrika 41.
    """
    total = sum((cost - mean) ** 2 for cost in seen)
    if len(seen) < _LEAST_FOR_CORRELATION or total == 0:
        return 1.0
    lagged = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(seen))
    biased = lagged / total
    correlation = min(max(biased + (1 + 3 * biased) / len(seen), 0.0), _MOST_CORRELATION)
    return (1 + correlation) / (1 - correlation)
