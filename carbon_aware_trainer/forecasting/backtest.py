"""Forecasts of a zone's own past, each from what was known then, judged by the saving they capture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.forecasting import profile
from carbon_aware_trainer.forecasting.hours import Floats, Hours
from carbon_aware_trainer.forecasting.inputs import Shape
from carbon_aware_trainer.forecasting.ridge import HORIZON_H, Fitting, Ridge
from carbon_aware_trainer.strategies import replay
from carbon_aware_trainer.strategies.replay import Cell, Replay

Ints = npt.NDArray[np.int64]
# The last share of the history is forecast, in this many parts; before each, all ridges are solved anew.
TESTED_SHARE = 0.3
PARTS = 4
# More than the last year is not forecast.
MOST_H = 8766
CELLS = tuple(Cell(job, slack, cut) for cut in (True, False) for job in (4, 24) for slack in (24, 168))
STARTS = 60
# The shortest history in which jobs can be replayed.
LEAST_H = 14 * 24


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """The last hours of a history and what each candidate expected in them.

    hours: the numbers of the hours of the history. expected: by candidate float32 [n, HORIZON_H], from one
    hour ahead on; the last one is the profile's. ridges: of the whole history.
    """

    at: Ints
    expected: tuple[npt.NDArray[np.float32], ...]
    ridges: tuple[Ridge, ...]


@dataclass(frozen=True, slots=True)
class Captured:
    """The shares of the oracle's saving that the adaptive strategy got."""

    interruptible: float
    in_one_piece: float

    @property
    def mean(self) -> float:
        """The mean of both."""
        return (self.interruptible + self.in_one_piece) / 2


def test(hours: Hours, shapes: Sequence[Shape]) -> Tested:
    """Forecast the last part of a history with each of the shapes and with the profile."""
    first = len(hours) - min(MOST_H, int(len(hours) * TESTED_SHARE))
    cuts = np.linspace(first, len(hours), PARTS + 1).astype(int)
    at = np.arange(first, len(hours))
    expected, ridges = [], []
    for shape in shapes:
        fitting = Fitting(shape, hours, scaled_by=first)
        parts = [
            fitting.ridge(int(cut)).rows(hours, np.arange(cut, until)).astype(np.float32)
            for cut, until in itertools.pairwise(cuts)
        ]
        expected.append(np.concatenate(parts))
        ridges.append(fitting.ridge(len(hours)))
    expected.append(profile.rows(hours, at, horizon_h=HORIZON_H).astype(np.float32))
    return Tested(at, tuple(expected), tuple(ridges))


def captured(hours: Hours, at: Ints, expected: npt.NDArray[np.float32]) -> Captured:
    """Return what the adaptive strategy gets. expected: [n, HORIZON_H] for the hours ``at``."""
    actual = hours.g_per_kwh[at]
    now = actual[:, None].astype(np.float32)
    case = Replay(actual, np.concatenate([now, expected], axis=1), np.zeros(len(at), dtype=bool))
    draw = np.random.default_rng(0)
    saved: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for cell in CELLS:
        if cell.total_h > len(at):
            continue
        starts = draw.integers(0, len(at) - cell.total_h + 1, size=STARTS)
        got = replay.run(case, replay.adapt, cell, starts).saving
        saved[cell.is_interruptible].append((got, replay.best(case, cell, starts).saving))
    return Captured(_share(saved[True]), _share(saved[False]))


def actual_ahead(hours: Hours, at: Ints) -> Floats:
    """Return what came in the HORIZON_H hours after each of ``at``; NaN where it is unknown."""
    known = np.where(hours.is_known, hours.g_per_kwh, np.nan)
    padded = np.concatenate([known, np.full(HORIZON_H, np.nan)])
    return np.lib.stride_tricks.sliding_window_view(padded, HORIZON_H)[at + 1]


def _share(saved: Sequence[tuple[float, float]]) -> float:
    best = sum(pair[1] for pair in saved)
    return sum(pair[0] for pair in saved) / best if best > 0 else 0.0
