"""Policies replayed over recorded hours, many starts at once, at constant power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.strategies import adaptive, oracle

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Recorded hours and what was forecast in each of them.

    actual: [n], gCO2eq/kWh. expected: [n, hours ahead]; column 0 is the hour itself, known. failed: [n],
    nothing is known in this hour that could be planned with. low: of the intervals, shaped as expected.
    """

    actual: Floats
    expected: Rows
    failed: Bools
    low: Rows | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A length of jobs and the slack they have, and whether they may be interrupted."""

    job_h: int
    slack_h: int
    is_interruptible: bool

    @property
    def total_h(self) -> int:
        """Hours from the submission to the deadline."""
        return self.job_h + self.slack_h


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What a policy sees: [n, hours until the deadline] expected, [n] hours of work left.

    is_running: [n], the job ran in the hour before. low: as expected; None without intervals.
    """

    expected: Rows
    left_h: Ints
    is_running: Bools
    cell: Cell
    low: Rows | None = None

    def among(self, chosen: Ints) -> Moment:
        """Return what it sees of some of the jobs."""
        low = None if self.low is None else self.low[chosen]
        return Moment(self.expected[chosen], self.left_h[chosen], self.is_running[chosen], self.cell, low)


Policy = Callable[[Moment], Bools]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was saved against running at once, and the deadlines that were missed.

    saving: the mean of the savings of all starts, 0 of one that emits nothing when run at once.
    saving_of_totals: of their emissions added up.
    """

    saving: float
    saving_of_totals: float
    missed: int


def adapt(moment: Moment) -> Bools:
    """Follow the adaptive strategy."""
    slots = moment.expected
    if moment.low is not None:
        slots = adaptive.worth(slots, moment.low, is_interruptible=moment.cell.is_interruptible)
    if not moment.cell.is_interruptible:
        return adaptive.is_cheapest_window(slots, moment.cell.job_h)
    hours = np.ones(slots.shape[1] - 1, dtype=np.float32)
    bound = slots[:, 0] - np.where(moment.is_running, adaptive.keep_running_band(slots), 0.0)
    return adaptive.is_among_cheapest(bound, slots[:, 1:], hours, moment.left_h.astype(np.float64))


def below(threshold_g_per_kwh: float) -> Policy:
    """Return the policy that runs in every hour of at most a fixed intensity."""
    return lambda moment: np.asarray(moment.expected[:, 0] <= threshold_g_per_kwh)


def run(replay: Replay, policy: Policy, cell: Cell, starts: Ints) -> Outcome:
    """Replay a policy, asked every hour, for jobs submitted in the hours ``starts``; the deadline wins."""
    left = np.full(len(starts), cell.job_h, dtype=np.int64)
    is_running = np.zeros(len(starts), dtype=bool)
    grams = np.zeros(len(starts))
    for passed in range(cell.total_h):
        pending = np.flatnonzero(left > 0)
        if not len(pending):
            break
        at = starts[pending] + passed
        low = None if replay.low is None else replay.low[at, : cell.total_h - passed]
        expected = replay.expected[at, : cell.total_h - passed]
        asked = Moment(expected, left[pending], is_running[pending], cell, low)
        runs = _runs(policy, asked, replay.failed[at])
        chosen, is_running[pending] = pending[runs], runs
        grams[chosen] += replay.actual[at[runs]]
        left[chosen] -= 1
    return _outcome(replay, cell, starts, grams, int((left > 0).sum()))


def best(replay: Replay, cell: Cell, starts: Ints) -> Outcome:
    """Return what the oracle saves."""
    actual = replay.actual[starts[:, None] + np.arange(cell.total_h)]
    lowest = oracle.cheapest_slots if cell.is_interruptible else oracle.cheapest_window
    return _outcome(replay, cell, starts, lowest(actual, cell.job_h), 0)


def sums(actual: Floats, starts: Ints, length: int) -> Floats:
    """Return the sums of ``length`` hours from each start on: what running at once emits."""
    # Not as differences of running sums: those leave a rest where the hours themselves are 0.
    return np.asarray(actual[starts[:, None] + np.arange(length)].sum(axis=1))


def _outcome(replay: Replay, cell: Cell, starts: Ints, grams: Floats, missed: int) -> Outcome:
    now = sums(replay.actual, starts, cell.job_h)
    share = np.divide(grams, now, out=np.ones(len(now)), where=now > 0)
    of_totals = float(1 - grams.sum() / now.sum()) if now.sum() > 0 else 0.0
    return Outcome(float(np.mean(1 - share)), of_totals, missed)


def _runs(policy: Policy, moment: Moment, failed: Bools) -> Bools:
    """Say which jobs run in this hour: all that have to or know no better, and those the policy lets."""
    runs: Bools = (moment.expected.shape[1] <= moment.left_h) | failed
    if not moment.cell.is_interruptible:
        runs |= moment.is_running
    asked = np.flatnonzero(~runs)
    if len(asked):
        runs[asked] = policy(moment.among(asked))
    return runs
