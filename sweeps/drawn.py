"""Points of a space, drawn as a sampler without any knowledge would."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from schema.sweeps import Choices, Dimension, IntRange, ParamValue, Sampler, SweepRequest
from sweeps.space import Point, count_steps, grid_size, shuffle_grid, value_of_step

_SEED: Final = 0


def draw_points(request: SweepRequest, most: int) -> Sequence[Point]:
    """Return points of a sweep that stand for all of its trials, at most ``most``; always the same ones.

    Those of a grid are its first trials: their order is a shuffled one.
    """
    count = min(most, trials_of(request))
    if request.sampler is Sampler.GRID:
        return shuffle_grid(request)[:count]
    source = random.Random(_SEED)  # noqa: S311 - no secret
    return [_point(request.space, source) for _ in range(count)]


def trials_of(request: SweepRequest) -> int:
    """Return how many trials a sweep has at most."""
    trials = request.limits.trials
    return min(trials, grid_size(request.space)) if request.sampler is Sampler.GRID else trials


def _point(space: Mapping[str, Dimension], source: random.Random) -> Point:
    return {name: _value(dimension, source) for name, dimension in space.items()}


def _value(dimension: Dimension, source: random.Random) -> ParamValue:
    if isinstance(dimension, Choices):
        return source.choice(dimension.choices)
    low, high = dimension.low, dimension.high
    if dimension.log:
        value = math.exp(source.uniform(math.log(low), math.log(high)))
    elif dimension.step is not None:
        number = source.randrange(count_steps(dimension, dimension.step))
        return value_of_step(dimension, dimension.step, number)
    else:
        value = source.uniform(low, high)
    # exp(log(x)) may lie beside x.
    value = min(high, max(low, value))
    return round(value) if isinstance(dimension, IntRange) else float(value)
