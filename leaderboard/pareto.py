"""The Pareto front: who is not outdone by anybody."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


def find_front(gains: Floats, costs: Floats) -> Mask:
    """Tell for each point whether none gains as much for less, or more for as little.

    Equal points do not outdo each other: both are on the front or none is. NaN is unknown: such a point is on
    no front and outdoes nobody.
    """
    on_front = np.zeros(len(gains), dtype=bool)
    known = np.flatnonzero(~(np.isnan(gains) | np.isnan(costs)))
    # Whoever gains less than a cheaper one is outdone. That leaves few, which alone are worth a sort by both.
    by_cost = known[np.argsort(costs[known])]
    left = by_cost[gains[by_cost] >= np.maximum.accumulate(gains[by_cost])]
    left = left[np.lexsort((-gains[left], costs[left]))]
    best = np.maximum.accumulate(gains[left])
    # On the front is who first gains that much, and whoever gains it for the same cost.
    first_of_gain = np.searchsorted(best, gains[left], side="left")
    is_best = (gains[left] == best) & (costs[left] == costs[left][first_of_gain])
    on_front[left[is_best]] = True
    return on_front
