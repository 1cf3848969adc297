"""carbon-aware simulate: policies replayed on a zone's own past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from carbon_aware_trainer.commands.asked import Asked
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.forecasting import fit
from carbon_aware_trainer.forecasting.hours import start_of, to_hours
from carbon_aware_trainer.forecasting.ridge import HORIZON_H
from carbon_aware_trainer.strategies import replay, threshold
from carbon_aware_trainer.strategies.replay import Cell, Replay
from carbon_aware_trainer.traces import HOUR, Trace

YEAR_H = 365 * 24
REFIT_H = 91 * 24
_ALL = timedelta(days=365 * 3)
SEED = 0


@dataclass(frozen=True, slots=True)
class Saved:
    """What a policy saves against running at once, 0-1, and the oracle; the mean over all starts."""

    job_h: int
    slack_h: int
    is_interruptible: bool
    adaptive: float
    fixed_threshold: float
    oracle: float
    missed: int


def simulate(asked: Asked) -> dict[str, Any]:
    """Return what each policy would have saved in the part of the past that no forecast was fitted on."""
    now, options = asked.clock.now(), asked.options
    monitor = asked.monitor()
    trace = monitor.provider.fetch_history(asked.zone, now - _ALL, now)
    cells = [
        Cell(job, slack, is_interruptible)
        for job in options.duration
        for slack in options.slack
        for is_interruptible in (False, True)
    ]
    results = replay_all(trace, cells, starts=options.starts)
    head = f"{asked.zone}, {trace.provider}, {trace.basis}: saving against running at once"
    columns = "job, h  slack, h  interruptible  adaptive  threshold  oracle"
    lines = [head, columns, *(_line(each) for each in results)]
    missed = sum(each.missed for each in results)
    return {
        "zone": asked.zone,
        "cells": [
            {
                "job_h": each.job_h,
                "slack_h": each.slack_h,
                "is_interruptible": each.is_interruptible,
                "adaptive": each.adaptive,
                "threshold": each.fixed_threshold,
                "oracle": each.oracle,
            }
            for each in results
        ],
        "missed_deadlines": missed,
        "lines": [*lines, f"{missed} deadlines missed in {len(cells) * options.starts * 2} simulated jobs."],
    }


def replay_all(trace: Trace, cells: Sequence[Cell], *, starts: int) -> list[Saved]:
    """Replay every cell on the last year of a long trace, else on its last half; the rest is for fitting.

    The forecast is fitted again every 13 weeks on what had passed. Raises CarbonError for too short a trace.
    """
    if any(cell.job_h < 1 or cell.slack_h < 0 for cell in cells) or starts < 1:
        raise CarbonError("Give durations and starts of 1 or more, and slacks of 0 or more.")
    longest = max(cell.total_h for cell in cells)
    if longest > HORIZON_H:
        raise CarbonError(f"Durations and slacks of up to {HORIZON_H} h together can be forecast.")
    if trace.step > HOUR:
        raise CarbonError(f"Values every {trace.step} cannot be simulated. Give hourly ones.")
    hours = to_hours(trace)
    first = len(hours) - YEAR_H if len(hours) >= YEAR_H * 3 // 2 else len(hours) // 2
    if len(hours) - first < longest + 24:
        raise CarbonError(
            f"{len(hours)} h of history are too short for jobs of {longest} h with their slack. Give more."
        )
    parts = []
    for begin in range(first, len(hours), REFIT_H):
        at = np.arange(begin, min(begin + REFIT_H, len(hours)))
        fitted = fit(trace, at=start_of(hours.first + begin))
        parts.append(np.concatenate([hours.g_per_kwh[at][:, None], fitted.rows(hours, at)], axis=1))
    actual = hours.g_per_kwh[first:]
    past = Replay(actual, np.concatenate(parts).astype(np.float32), np.zeros(len(actual), dtype=bool))
    fixed = threshold.from_history(trace.known_at(start_of(hours.first + first - 1))).resume_g_per_kwh
    return [_saved(past, cell, fixed, starts) for cell in cells]


def _saved(past: Replay, cell: Cell, fixed: float, starts: int) -> Saved:
    drawn = np.random.default_rng(SEED).integers(0, len(past.actual) - cell.total_h + 1, size=starts)
    adaptive = replay.run(past, replay.adapt, cell, drawn)
    simple = replay.run(past, replay.below(fixed), cell, drawn)
    best = replay.best(past, cell, drawn).saving
    missed = adaptive.missed + simple.missed
    return Saved(
        cell.job_h, cell.slack_h, cell.is_interruptible, adaptive.saving, simple.saving, best, missed
    )


def _line(saved: Saved) -> str:
    interruptible = "yes" if saved.is_interruptible else "no"
    shares = f"{saved.adaptive:8.1%}  {saved.fixed_threshold:9.1%}  {saved.oracle:6.1%}"
    return f"{saved.job_h:6d}  {saved.slack_h:8d}  {interruptible:>13}  {shares}"
