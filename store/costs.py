"""What a run had used by a point of another metric: sums of its own reports of energy or CO₂."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from store.metric_arrays import Points

Sums = NDArray[np.float64]


def of_every_epoch(spent: Points | None, every: Points) -> Points:
    """Return what each epoch of a run of the queue used, NaN where it does not know it.

    spent: of those that know it; ``every``: a metric that all have.
    """
    found = every.copy()
    found["value"] = np.nan
    if spent is not None:
        found["value"][np.searchsorted(every["step"], spent["step"])] = spent["value"]
    # An epoch that is not there used something too.
    found["value"][every["step"] != np.arange(1, len(every) + 1)] = np.nan
    return found


def by_step(points: Points, spent: Points) -> Sums:
    """Return what a run of the queue had used at the end of the epoch of each point; NaN for unknown.

    spent: of every epoch. From one that does not know it on, nobody knows the sum.
    """
    sums = np.append(np.nan, np.cumsum(spent["value"]))
    found: Sums = sums[np.searchsorted(spent["step"], points["step"], side="right")]
    return found


def by_time(points: Points, spent: Points | None, *, start_s: float) -> Sums:
    """Return what a run had used at the time of each point; NaN for unknown.

    Scripts may count the steps of each metric as they like, so that times alone can be matched. Between two
    reports of ``spent``, and from ``start_s`` to the first, power is taken as constant. Behind the last one
    only points of a step that it covers are known, as one and the same call may report both.
    """
    if spent is None or not len(spent) or not np.isfinite(spent["time"]).all():
        return np.full(len(points), np.nan)
    order = np.argsort(spent["time"], kind="stable")
    times = spent["time"][order]
    sums = np.cumsum(np.where(np.isfinite(spent["value"]), spent["value"], np.nan)[order])
    # Of reports at one time the last has the sum of all; from one without a value on nobody knows it.
    is_wanted = np.append(times[1:] != times[:-1], True) & ~np.isnan(sums)
    at, used = times[is_wanted], sums[is_wanted]
    if start_s < times[0]:
        at, used = np.append(start_s, at), np.append(0.0, used)
    if not len(at):
        return np.full(len(points), np.nan)
    found: Sums = np.interp(points["time"], at, used, left=np.nan, right=np.nan)
    if at[-1] == times[-1]:
        found[(points["time"] > at[-1]) & (points["step"] <= spent["step"].max())] = used[-1]
    return found
