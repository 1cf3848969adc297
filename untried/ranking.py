"""The untried configurations of a space by what they are expected to improve per gram; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from pydantic import JsonValue

from leaderboard.pareto import Floats
from schema.next_try import LEAST_CONFIGURATIONS, Difference, Expected, HeldOut, Trial
from untried.model import Prediction, predict, predict_held_out
from untried.space import Params, Space, complete, key_of

MOST_POINTS: Final = 1_500
# What is waiting or not valid is passed over, so one is not enough.
MOST_TRIALS: Final = 50
_NEAR: Final = 8
# Per gram alone, what costs next to nothing wins however little it promises, run after run.
_SHARE: Final = 0.5
# A gain of 0.1 points with a chance of one in a hundred.
LEAST_IMPROVEMENT: Final = 1e-5
# Errors are learnt by their logarithm, in which 98 to 99 % is as far as 96 to 98 %; without this, none at all
# would be infinitely far away.
_OFFSET: Final = 0.002


class Known(NamedTuple):
    """A configuration that was run, its medians, and how many runs it has."""

    hyper_params: Params
    accuracy: float
    co2_g: float
    runs: int = 1


@dataclass(frozen=True)
class Ranked:
    """Untried configurations, the best per gram first, and how well their models predict."""

    trials: tuple[Trial, ...] = ()
    held_out: HeldOut | None = None
    learnt_from: int = 0
    runs: int = 0
    points: int = 0
    """How many untried ones were looked at."""


def rank_untried(known: Sequence[Known], schema: Params, *, max_co2_g: float | None = None) -> Ranked:
    """Return what to try next; without trials where nothing varies or the models are not worth following.

    The improvement is over what the model expects of the best one, of those within ``max_co2_g``: the best
    accuracy that was reached is one of good luck. Only those count whose improvement is at least half of the
    greatest. The same runs give the same answer. Source: Jones et al. 1998, "Efficient Global Optimization",
    section 4.1, here of a logarithm; per cost as in Snoek et al. 2012, "Practical Bayesian Optimization of
    Machine Learning Algorithms", section 3.2.
    """
    rows = [complete(schema, each.hyper_params) for each in known]
    space = Space.around(schema, rows)
    found = Ranked(learnt_from=len(known), runs=sum(each.runs for each in known))
    if len(known) < LEAST_CONFIGURATIONS or not space.dimensions:
        return found
    features = space.encode(rows)
    errors = np.log(1 - np.array([each.accuracy for each in known]) + _OFFSET)
    grams = np.log(np.array([each.co2_g for each in known]))
    found = replace(found, held_out=_held_out(features, errors, grams))
    allowed = [
        number for number in range(len(known)) if max_co2_g is None or known[number].co2_g <= max_co2_g
    ]
    if not is_worth_following(found.held_out) or not allowed:
        return found
    best_first = sorted(allowed, key=lambda number: (-known[number].accuracy, known[number].co2_g))
    best = [rows[number] for number in best_first[:_NEAR]]
    points = _untried(space, best, {key_of(row) for row in rows})
    if not points:
        return found
    places = space.encode(points)
    error = predict(features, errors, np.concatenate([places, features[allowed]]))
    least = max(0.0, float(np.exp(error.mean[len(points) :]).min()) - _OFFSET)
    expected = (Prediction(*(each[: len(points)] for each in error)), predict(features, grams, places))
    trials = _trials(points, expected, least, best[0], max_co2_g)
    return replace(found, trials=trials, points=len(points))


def is_worth_following(held_out: HeldOut | None) -> bool:
    """Tell whether the models predict better than the median; grams that hardly differ need no model."""
    if held_out is None:
        return False
    accuracy = held_out.accuracy_error < 0.95 * held_out.median_accuracy_error
    grams = held_out.co2_factor < held_out.median_co2_factor or held_out.median_co2_factor < 1.1
    return accuracy and grams


def _untried(space: Space, best: Sequence[Params], tried: set[str]) -> list[dict[str, JsonValue]]:
    found: dict[str, dict[str, JsonValue]] = {}
    for point in space.points(best, MOST_POINTS):
        key = key_of(point)
        if key not in tried:
            found.setdefault(key, point)
    return list(found.values())


def _held_out(features: Floats, errors: Floats, grams: Floats) -> HeldOut:
    (error, error_median), (gram, gram_median) = (
        predict_held_out(features, values) for values in (errors, grams)
    )
    return HeldOut(
        configurations=len(errors),
        accuracy_error=float(np.abs(np.exp(error) - np.exp(errors)).mean()),
        median_accuracy_error=float(np.abs(np.exp(error_median) - np.exp(errors)).mean()),
        co2_factor=_factor(gram - grams),
        median_co2_factor=_factor(gram_median - grams),
    )


def _factor(distance: Floats) -> float:
    return float(np.exp(min(700.0, float(np.abs(distance).mean()))))


def _trials(
    points: Sequence[dict[str, JsonValue]],
    expected: tuple[Prediction, Prediction],
    least_error: float,
    best: Params,
    max_co2_g: float | None,
) -> tuple[Trial, ...]:
    error, gram = expected
    gains = expected_improvement(error, least_error)
    rates = gains / np.exp(gram.mean)
    is_possible = (gains >= LEAST_IMPROVEMENT) & np.isfinite(rates)
    if max_co2_g is not None:
        is_possible &= np.exp(gram.mean) <= max_co2_g
    is_possible &= gains >= _SHARE * np.max(gains, initial=0.0, where=is_possible)
    # What comes first among equal ones is always the same.
    order = np.argsort(-rates, kind="stable")
    return tuple(
        Trial(
            hyper_params=points[number],
            differences=_differences(points[number], best),
            accuracy=_accuracy(float(error.mean[number]), float(error.std[number])),
            co2_g=_grams(float(gram.mean[number]), float(gram.std[number])),
            improvement=float(gains[number]),
            improvement_per_g=float(rates[number]),
        )
        for number in order[is_possible[order]][:MOST_TRIALS].tolist()
    )


def expected_improvement(error: Prediction, least: float) -> Floats:
    """Return the expected fall below an error of what is expected on the scale of its logarithm."""
    std = np.maximum(error.std, 1e-9)
    limit = least + _OFFSET
    at = (math.log(limit) - error.mean) / std
    gain = limit * _normal(at) - np.exp(error.mean + std**2 / 2) * _normal(at - std)
    return np.asarray(np.clip(gain, 0.0, least), dtype=np.float64)


def _normal(values: Floats) -> Floats:
    """Return how much of a normal distribution lies below each value."""
    return np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in values.tolist()])


def _accuracy(mean: float, std: float) -> Expected:
    low, middle, high = (
        min(1.0, max(0.0, 1 - math.exp(mean + far * std) + _OFFSET)) for far in (1.0, 0.0, -1.0)
    )
    return Expected(value=middle, low=low, high=high)


def _grams(mean: float, std: float) -> Expected:
    return Expected(value=math.exp(mean), low=math.exp(mean - std), high=math.exp(mean + std))


def _differences(point: Params, best: Params) -> tuple[Difference, ...]:
    return tuple(
        Difference(name=name, value=value, best=best[name])
        for name, value in point.items()
        if value != best[name] and name != "seed"
    )
