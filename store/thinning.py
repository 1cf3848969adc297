"""Fewer points that show the shape of all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from tsdownsample import LTTBDownsampler, MinMaxDownsampler

from schema import Method
from store.metric_arrays import Points

# Of the points that are shown, how many may be ones without a finite value.
_NON_FINITE_SHARE: Final = 4
Places = NDArray[np.intp]


def between(points: Points, first: int | None, last: int | None) -> Points:
    """Return the points, given by step, from one step to another, both included; None for no bound."""
    steps = points["step"]
    start = 0 if first is None else int(np.searchsorted(steps, first, side="left"))
    end = len(points) if last is None else int(np.searchsorted(steps, last, side="right"))
    return points[start:end]


def thin(points: Points, most: int, method: Method) -> Points:
    """Return at most ``most`` of the points, which is at least 4, in their order; all where they are no more.

    minmax: the extremes of equally many points each, so that no peak is lost. lttb: largest triangle, three
    buckets, which keeps what the eye sees. The first and the last finite point are among them. What is not
    finite has no place in either: of such points an even choice is kept, a quarter of all at most. Source:
    Steinarsson 2013, "Downsampling Time Series for Visual Representation".
    """
    if len(points) <= most:
        return points
    is_finite = np.isfinite(points["value"])
    finite, others = np.flatnonzero(is_finite), np.flatnonzero(~is_finite)
    room = min(len(others), max(most // _NON_FINITE_SHARE, most - len(finite)))
    kept = [others[evenly(len(others), room)]]
    if len(finite) <= most - room:
        kept.append(finite)
    else:
        kept.append(finite[_shape(points[finite], most - room, method)])
    return points[np.sort(np.concatenate(kept))]


def _shape(points: Points, most: int, method: Method) -> Places:
    """Choose among finite points by step, of which there are more than ``most``, which is at least 3."""
    values = np.ascontiguousarray(points["value"])
    if method == "lttb":
        steps = (points["step"] - points["step"][0]).astype(np.float64)
        return np.unique(LTTBDownsampler().downsample(steps, values, n_out=most)).astype(np.intp)
    # Without the steps: where all are the same one, the library would panic.
    ends = np.array([0, len(values) - 1])
    pairs = (most - len(ends)) // 2 * 2
    if not pairs:
        return ends
    found = MinMaxDownsampler().downsample(values, n_out=pairs)
    return np.unique(np.concatenate([ends, found.astype(np.intp)]))


def evenly(count: int, wanted: int) -> Places:
    """Return at most so many of the places from 0 on, both ends among them."""
    return (
        np.unique(np.linspace(0, count - 1, wanted).round().astype(np.intp)) if wanted else np.array([], int)
    )
