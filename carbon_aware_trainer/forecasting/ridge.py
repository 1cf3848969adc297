"""Ridge regression in closed form: all hours ahead at once, from sums that grow as history does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting.hours import DAY_H, Floats, Hours
from carbon_aware_trainer.forecasting.inputs import Shape, inputs
from carbon_aware_trainer.forecasting.products import product

HORIZON_H = 216
# A logarithm of less would make noise of a grid that is almost free of carbon.
_LEAST_G_PER_KWH = 1.0
# A row is no example when more of the hours it is to predict were filled in.
_MOST_FILLED = 0.1
_CONSTANT_PENALTY = 1e-3
# Grids change: an example of a year ago counts half.
_HALF_LIFE_H = 8766.0
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """A linear forecast.

    weights: float32 [hours of the day or 1, inputs, HORIZON_H]. mean, scale: of the history.
    """

    shape: Shape
    mean: float
    scale: float
    weights: Weights

    def rows(self, hours: Hours, at: npt.NDArray[np.int64]) -> Floats:
        """Forecast the HORIZON_H hours after each of the hours ``at``, [n, HORIZON_H], gCO2eq/kWh."""
        values, level, hour = _inputs(self, hours, at)
        group = hour % DAY_H if self.shape.is_by_hour else np.zeros(len(hour), dtype=np.int64)
        ahead = np.empty((len(at), HORIZON_H))
        for number in np.unique(group):
            chosen = group == number
            ahead[chosen] = product(values[chosen].astype(np.float32), self.weights[number])
        return _back(self, ahead + level)


class Fitting:
    """The sums a ridge is solved from; rows are added oldest first, each once."""

    def __init__(self, shape: Shape, hours: Hours, *, scaled_by: int) -> None:
        """Take mean and scale from the first ``scaled_by`` hours."""
        self._hours = hours
        history = _forward(shape, hours.g_per_kwh[:scaled_by])
        scale = float(history.std()) or 1.0
        groups = DAY_H if shape.is_by_hour else 1
        self._empty = Ridge(shape, float(history.mean()), scale, np.zeros((groups, 0, 0), dtype=np.float32))
        self._next = shape.past_h - 1
        self._gram: list[Floats] | None = None
        self._cross: list[Floats] = []

    def ridge(self, known: int) -> Ridge:
        """Return the ridge that the first ``known`` hours give."""
        self._add(known)
        if self._gram is None:
            raise ValueError("The history is too short for a ridge.")
        shape = self._empty.shape
        penalty = np.full(len(self._gram[0]), shape.penalty)
        penalty[-1] = _CONSTANT_PENALTY
        solved = [
            np.linalg.solve(gram + np.diag(penalty), cross)
            for gram, cross in zip(self._gram, self._cross, strict=True)
        ]
        return Ridge(shape, self._empty.mean, self._empty.scale, np.array(solved, dtype=np.float32))

    def _add(self, known: int) -> None:
        at = np.arange(self._next, known - HORIZON_H)
        self._age(max(0, known - HORIZON_H - self._next))
        self._next = max(self._next, known - HORIZON_H)
        at = at[_is_example(self._hours, at)] if len(at) else at
        if not len(at):
            return
        values, level, hour = _inputs(self._empty, self._hours, at)
        scaled = _scaled(self._empty, self._hours.g_per_kwh[:known])
        ahead = np.lib.stride_tricks.sliding_window_view(scaled, HORIZON_H)[at + 1] - level
        weight = 0.5 ** ((self._next - at) / (2 * _HALF_LIFE_H))[:, None]
        left, right = (values * weight).astype(np.float32), (ahead * weight).astype(np.float32)
        groups = hour % DAY_H if self._empty.shape.is_by_hour else np.zeros(len(hour), dtype=np.int64)
        self._sum(left, right, groups)

    def _age(self, hours: int) -> None:
        for sums in (self._gram or [], self._cross):
            for one in sums:
                one *= 0.5 ** (hours / _HALF_LIFE_H)

    def _sum(self, left: Weights, right: Weights, groups: npt.NDArray[np.int64]) -> None:
        count = len(self._empty.weights)
        if self._gram is None:
            self._gram = [np.zeros((left.shape[1],) * 2) for _ in range(count)]
            self._cross = [np.zeros((left.shape[1], HORIZON_H)) for _ in range(count)]
        for number in range(count):
            chosen = slice(None) if count == 1 else groups == number
            self._gram[number] += product(left[chosen].T, left[chosen])
            self._cross[number] += product(left[chosen].T, right[chosen])


def _inputs(
    ridge: Ridge, hours: Hours, at: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Return inputs, level and numbers of the hours ``at``; before the history lies its first value."""
    first = int(at.min()) - ridge.shape.past_h + 1
    values = hours.g_per_kwh[max(0, first) : int(at.max()) + 1]
    scaled = _scaled(ridge, np.concatenate([np.full(max(0, -first), values[0]), values]))
    past = np.lib.stride_tricks.sliding_window_view(scaled, ridge.shape.past_h)[at - at.min()]
    hour = hours.first + at
    return *inputs(past, hour, ridge.shape), hour


def _is_example(hours: Hours, at: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    filled = np.concatenate([[0], np.cumsum(~hours.is_known)])
    share = (filled[at + 1 + HORIZON_H] - filled[at + 1]) / HORIZON_H
    return np.asarray(hours.is_known[at] & (share <= _MOST_FILLED))


def _forward(shape: Shape, g_per_kwh: Floats) -> Floats:
    return np.log(np.maximum(g_per_kwh, _LEAST_G_PER_KWH)) if shape.is_log else g_per_kwh


def _scaled(ridge: Ridge, g_per_kwh: Floats) -> Floats:
    return (_forward(ridge.shape, g_per_kwh) - ridge.mean) / ridge.scale


def _back(ridge: Ridge, scaled: Floats) -> Floats:
    values = scaled * ridge.scale + ridge.mean
    return np.exp(np.minimum(values, 20.0)) if ridge.shape.is_log else np.maximum(values, 0.0)
