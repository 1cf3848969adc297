"""The middle of the curves of a group and how far they are apart, step by step."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from views.compare.groups import Group, spread_of
from views.compare.points import Curve

# From so many runs on a band is of the middle half of them; fewer ones are all in it.
QUARTILES_FROM: Final = 4
_FEWEST: Final = 2
_MOST_STEPS: Final = 400


@dataclass(frozen=True)
class Band:
    """What a group of at least two runs did: at each x the median, and from where to where it goes."""

    name: str
    run_ids: tuple[str, ...]
    xs: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def bands_of(groups: Sequence[Group], curves: Mapping[str, Curve]) -> list[Band]:
    """Return a band for each group of which at least two runs have a curve."""
    bands = []
    for group in groups:
        own = {run_id: curves[run_id] for run_id in group.run_ids if run_id in curves}
        if len(own) >= _FEWEST and (band := _band(group.name, own)) is not None:
            bands.append(band)
    return bands


def _band(name: str, own: Mapping[str, Curve]) -> Band | None:
    """Return the band over the steps that at least half of the runs, and two of them, have come to."""
    needed = max(_FEWEST, (len(own) + 1) // 2)
    paths = [_Path(curve) for curve in own.values()]
    points = []
    for step in _spread_out(sorted({step for curve in own.values() for step in curve.steps})):
        here = [found for path in paths if (found := path.at(step)) is not None]
        spread = spread_of(value for _, value in here)
        if spread is None or len(here) < needed:
            continue
        is_half = len(own) >= QUARTILES_FROM
        low, high = (spread.first_quartile, spread.third_quartile) if is_half else (spread.low, spread.high)
        points.append((median(x for x, _ in here), spread.median, low, high))
    if not points:
        return None
    xs, middle, lows, highs = zip(*sorted(points), strict=True)
    return Band(name, tuple(own), xs, middle, lows, highs)


class _Path:
    """A curve by its steps; between two of them it is straight, before and behind them it is nowhere."""

    def __init__(self, curve: Curve) -> None:
        ordered = sorted(zip(curve.steps, curve.xs, curve.smoothed, strict=True), key=lambda each: each[0])
        self._gaps = {step for step, _, value in ordered if value is None}
        known = [(step, x, value) for step, x, value in ordered if value is not None]
        self._steps = [step for step, _, _ in known]
        self._points = [(x, value) for _, x, value in known]

    def at(self, step: int) -> tuple[float, float] | None:
        """Return x and value at a step; None where the run has none."""
        place = bisect_left(self._steps, step)
        if place == len(self._steps) or step in self._gaps:
            return None
        if self._steps[place] == step:
            return self._points[place]
        if place == 0:
            return None
        before, behind = self._steps[place - 1], self._steps[place]
        share = (step - before) / (behind - before)
        (x, value), (next_x, next_value) = self._points[place - 1], self._points[place]
        return x + share * (next_x - x), value + share * (next_value - value)


def _spread_out(steps: Sequence[int]) -> Sequence[int]:
    """Return at most so many steps as can be told apart in a chart, evenly, with both ends."""
    if len(steps) <= _MOST_STEPS:
        return steps
    return [steps[round(at * (len(steps) - 1) / (_MOST_STEPS - 1))] for at in range(_MOST_STEPS)]
