"""What share of the saving of a perfect forecast each policy gets, on recorded grids.

Simulated is the last year of a trace of at least 18 months, of a shorter one the last half. The forecast is
fitted anew every week on what has passed by then, as production does daily, and made anew every hour; no
value reaches it before its hour has begun. 240 random starts (seed 0) for each cell of job length (4, 12, 24
and 48 h) and slack (0.5, 1 and 2 times the job, 24 h, 168 h), constant power, the deadline always met.

Saving of a start = 1 - emissions(policy) / emissions(run now); of a cell: the mean over its 240 starts.
Captured by a zone = mean saving of all 20 cells / mean saving of the oracle in them, each cell counted once,
also 24 h of slack of a 24 h job, which appears twice (1 time the job, and 24 h) as it does for 48 h.
``int``: the job may be interrupted, and so may the oracle's. ``ni``: neither may. The figures of the last
line are means over zones; a zone where the oracle saves nothing has none (null). A job that runs goes on
within the band that the product has; the oracle has none. ``of_totals`` is the same with the emissions of a
cell's starts added up before they are compared, which weighs starts in dirty hours more and comes out higher.
``missed_deadlines`` counts all replayed jobs: of adaptive, of the fixed threshold (33rd percentile of the
history before the unseen part), and of adaptive with a provider that fails in a fifth of all hours. As in
production, it then decides by the forecast made of what was last known of the zone, and runs at once
when that is staler than WATTLE_CARBON_STALE_S allows by default. An hour missing at the source counts as the
same hour of the day before.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import carbon_traces
from bench.carbon_traces import Case
from carbon_aware_trainer.forecasting import fit, interval
from carbon_aware_trainer.forecasting.hours import DAY_H, start_of
from carbon_aware_trainer.strategies import replay, threshold
from carbon_aware_trainer.strategies.replay import Cell, Policy, Replay
from settings import Settings

JOBS_H = (4, 12, 24, 48)
STARTS, QUICK_STARTS = 240, 120
REFIT_H, QUICK_REFIT_H = 7 * 24, 28 * 24
FAILING = 0.2
Shares = dict[str, float | None]
SEED = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What one zone gave: shares of the oracle's saving, None where that is 0, and jobs."""

    captured: Shares
    of_totals: Shares
    oracle: Shares
    threshold: Shares
    failing: Shares
    replayed: int
    missed: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay all zones and print the table and, last, one line of JSON."""
    asked = _parse(arguments)
    results = {}
    for case in carbon_traces.cases(asked.traces, asked.zones):
        begun = time.perf_counter()
        results[case.name] = result = simulate(case, is_quick=asked.quick)
        print(_row(case.name, result, time.perf_counter() - begun), flush=True)
    print(json.dumps(_summary(results)))
    return 0


def simulate(case: Case, *, is_quick: bool) -> Result:
    """Replay all policies in the unseen part of a trace."""
    expected, low = forecasts(case, refit_h=QUICK_REFIT_H if is_quick else REFIT_H)
    actual = case.hours.g_per_kwh[case.first :]
    sure = Replay(actual, expected, np.zeros(len(actual), dtype=bool), low)
    failing = with_failures(sure, np.random.default_rng(SEED).random(len(actual)) < FAILING)
    fixed = replay.below(_fixed(case))
    adaptive = [_captured(sure, replay.adapt, cut, is_quick) for cut in (True, False)]
    thresholds = [_captured(sure, fixed, cut, is_quick) for cut in (True, False)]
    failed = [_captured(failing, replay.adapt, cut, is_quick) for cut in (True, False)]
    every = (*adaptive, *thresholds, *failed)
    return Result(
        _by_kind(adaptive, lambda scored: scored.share),
        _by_kind(adaptive, lambda scored: scored.share_of_totals),
        _by_kind(adaptive, lambda scored: scored.oracle),
        _by_kind(thresholds, lambda scored: scored.share),
        _by_kind(failed, lambda scored: scored.share),
        sum(scored.replayed for scored in every),
        sum(scored.missed for scored in every),
    )


def with_failures(sure: Replay, failed: npt.NDArray[np.bool_]) -> Replay:
    """Return a replay in which nothing new is learned of the hours that failed.

    What was last forecast counts on, also for the hour itself, until it is stale; before any, or after that,
    nothing is known. What a forecast does not reach any more is as a day before.
    """
    hour = np.arange(len(failed))
    last = np.maximum.accumulate(np.where(failed, -1, hour))
    age = hour - last
    is_stale = (last < 0) | ((age - 1) * 3600 > Settings.model_fields["carbon_stale_s"].default)
    columns = age[:, None] + np.arange(sure.expected.shape[1])
    columns -= DAY_H * -(-np.maximum(columns - sure.expected.shape[1] + 1, 0) // DAY_H)
    at = np.maximum(last, 0)[:, None]
    low = None if sure.low is None else np.where(is_stale[:, None], sure.low, sure.low[at, columns])
    expected = np.where(is_stale[:, None], sure.expected, sure.expected[at, columns])
    return Replay(sure.actual, expected, is_stale, low)


def forecasts(case: Case, *, refit_h: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what was expected in each hour of the unseen part, and the low end; column 0 is that hour."""
    parts, lows = [], []
    for first in range(case.first, len(case.hours), refit_h):
        at = np.arange(first, min(first + refit_h, len(case.hours)))
        fitted = fit(case.trace, at=start_of(case.hours.first + first))
        now = case.hours.g_per_kwh[at][:, None]
        rows = fitted.rows(case.hours, at)
        low = interval.lower(rows, fitted.bounds, case.hours.first + at)
        parts.append(np.concatenate([now, rows], axis=1).astype(np.float32))
        lows.append(np.concatenate([now, low], axis=1).astype(np.float32))
    return np.concatenate(parts), np.concatenate(lows)


@dataclass(frozen=True, slots=True)
class Scored:
    """One policy in all cells."""

    share: float | None
    share_of_totals: float | None
    oracle: float
    replayed: int
    missed: int


def _captured(case: Replay, policy: Policy, is_interruptible: bool, is_quick: bool) -> Scored:
    draw = np.random.default_rng(SEED)
    count = QUICK_STARTS if is_quick else STARTS
    got, best = [], []
    for job in JOBS_H:
        for slack in (job // 2, job, 2 * job, 24, 168):
            cell = Cell(job, slack, is_interruptible)
            starts = draw.integers(0, len(case.actual) - cell.total_h + 1, size=count)
            got.append(replay.run(case, policy, cell, starts))
            best.append(replay.best(case, cell, starts))
    return Scored(
        _share(sum(one.saving for one in got), sum(one.saving for one in best)),
        _share(sum(one.saving_of_totals for one in got), sum(one.saving_of_totals for one in best)),
        round(float(np.mean([one.saving for one in best])), 4),
        count * len(got),
        sum(one.missed for one in got),
    )


def _share(saved: float, best: float) -> float | None:
    return round(saved / best, 4) if best > 0 else None


def _fixed(case: Case) -> float:
    seen = case.trace.known_at(start_of(case.hours.first + case.first - 1))
    return threshold.from_history(seen).resume_g_per_kwh


def _by_kind(scored: Sequence[Scored], of: Callable[[Scored], float | None]) -> Shares:
    return {kind: of(one) for kind, one in zip(("int", "ni"), scored, strict=True)}


def _summary(results: dict[str, Result]) -> dict[str, object]:
    return {
        "captured_int": _mean(result.captured["int"] for result in results.values()),
        "captured_ni": _mean(result.captured["ni"] for result in results.values()),
        "of_totals_int": _mean(result.of_totals["int"] for result in results.values()),
        "of_totals_ni": _mean(result.of_totals["ni"] for result in results.values()),
        "per_zone": {
            name: {
                "captured_int": result.captured["int"],
                "captured_ni": result.captured["ni"],
                "of_totals_int": result.of_totals["int"],
                "of_totals_ni": result.of_totals["ni"],
                "threshold_int": result.threshold["int"],
                "threshold_ni": result.threshold["ni"],
                "oracle_int": result.oracle["int"],
                "oracle_ni": result.oracle["ni"],
                "failing_int": result.failing["int"],
                "failing_ni": result.failing["ni"],
            }
            for name, result in results.items()
        },
        "missed_deadlines": sum(result.missed for result in results.values()),
        "replayed": sum(result.replayed for result in results.values()),
    }


def _mean(shares: Iterable[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return round(float(np.mean(known)), 4) if known else None


def _row(name: str, result: Result, seconds: float) -> str:
    shares = (result.captured, result.threshold, result.failing)
    text = "   ".join(f"{_percent(share['int'])} {_percent(share['ni'])}" for share in shares)
    return f"{name:34} {text}   {result.replayed} jobs, {result.missed} missed, {seconds:.0f} s"


def _percent(share: float | None) -> str:
    return f"{'-':>6}" if share is None else f"{share:6.1%}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.carbon",
        description="Columns: share of the oracle's saving, int and ni, by adaptive, the fixed threshold and "
        "adaptive with a provider that fails in a fifth of all hours.",
    )
    parser.add_argument("--quick", action="store_true", help="half the starts, fitted every four weeks")
    parser.add_argument(
        "--traces", type=Path, default=carbon_traces.FOLDER, help="folder of <zone>__<source>.csv"
    )
    parser.add_argument("--zones", nargs="+", default=[], help="zones, or zone__source; all by default")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
