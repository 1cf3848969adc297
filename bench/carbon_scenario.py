"""Scenario II of "Let's Wait Awhile" (Wiesner et al., Middleware 2021), planned with our window search.

3387 trainings of 4 to 90 h are submitted on workdays of 2020 between 9 and 17 h, at constant power. A
result that would be there outside working hours may come at 9 h of the next workday (``next_workday``); or
any result at 9 h of the next Monday or Thursday (``semi_weekly``). The forecast is the truth with normal
noise of 5 % of the year's mean on each half hour. As we read the authors' simulator, which takes the forecast
from its first to its last time with both of them, work may also take the half hour that begins with the
deadline.
Printed is the share of CO2 saved against starting at once, over three draws of the noise, in one piece and
interruptible; ``strict`` is without that half hour. The paper has 5.91 and 7.93 % for Germany by the next
workday, on intensities of its own by the half hour; an hourly trace has each value twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import carbon_traces
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting.hours import start_of
from carbon_aware_trainer.plans import Plan
from carbon_aware_trainer.strategies.windows import best_slots, best_window
from carbon_aware_trainer.traces import HOUR, Forecast

JOBS, NOISE, DRAWS = 3387, 0.05, 3
STEP = timedelta(minutes=30)
YEAR = datetime(2020, 1, 1, tzinfo=UTC)
YEAR_H = 366 * 24
OPENS_H, CLOSES_H = 9, 17
MONDAY, THURSDAY, SATURDAY = 0, 3, 5
Floats = npt.NDArray[np.float64]
Search = Callable[..., Plan]
Deadline = Callable[[datetime], datetime]


@dataclass(frozen=True, slots=True)
class Training:
    """When it is submitted and how long it takes."""

    at: datetime
    duration: timedelta


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the savings of both deadlines and, last, one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.carbon_scenario")
    parser.add_argument("trace", type=Path, help="<zone>__<source>.csv that holds 2020 and some days more")
    parser.add_argument("--jobs", type=int, default=JOBS)
    asked = parser.parse_args(arguments)
    truth = half_hours(asked.trace)
    jobs = trainings(asked.jobs)
    rules = {
        "next_workday": _and_a_half_hour(next_workday),
        "semi_weekly": _and_a_half_hour(semi_weekly),
        "next_workday_strict": next_workday,
    }
    savings = {
        name: [saving(truth, jobs, search, deadline) for search in (best_window, best_slots)]
        for name, deadline in rules.items()
    }
    for name, (whole, cut) in savings.items():
        print(f"{name:20} in one piece {whole:.2%}   interruptible {cut:.2%}")
    print(json.dumps({name: [round(value, 4) for value in pair] for name, pair in savings.items()}))
    return 0


def half_hours(path: Path) -> Floats:
    """Return a trace from 2020 on by the half hour, an hourly one with each value twice.

    Raises IntensityUnavailable for a trace that does not hold the year from its beginning on.
    """
    case = carbon_traces.cases(path.parent, [path.stem])[0]
    begin = start_of(case.hours.first)
    skipped = (YEAR - begin) // HOUR
    if skipped < 0 or len(case.hours) - skipped < YEAR_H:
        raise IntensityUnavailable(
            f"{path} has {begin:%Y-%m-%d} to {start_of(case.hours.first + len(case.hours)):%Y-%m-%d}. "
            "The scenario needs all of 2020."
        )
    return np.repeat(case.hours.g_per_kwh[skipped:], 2)


def trainings(count: int) -> list[Training]:
    """Draw the jobs: an even day among the workdays, an even half hour, an even duration (seed 0)."""
    draw = np.random.default_rng(0)
    days = [day for day in range(366) if (YEAR + timedelta(days=day)).weekday() < SATURDAY]
    chosen = draw.choice(days, size=count)
    slots = draw.integers(OPENS_H * 2, CLOSES_H * 2, size=count)
    lengths = draw.integers(4 * 2, 90 * 2, size=count)
    return [
        Training(YEAR + timedelta(days=int(day)) + int(slot) * STEP, int(length) * STEP)
        for day, slot, length in zip(chosen, slots, lengths, strict=True)
    ]


def next_workday(done: datetime) -> datetime:
    """Return by when a result has to be there that may be there at ``done``: then, or when work begins.

    As the authors' simulator has it, after work on a Friday that is Saturday 9 h.
    """
    morning = done.replace(hour=OPENS_H, minute=0)
    if done.weekday() == SATURDAY:
        return morning + timedelta(days=2)
    if done.weekday() > SATURDAY or done > done.replace(hour=CLOSES_H, minute=0):
        return morning + timedelta(days=1)
    return max(done, morning)


def semi_weekly(done: datetime) -> datetime:
    """Return the first Monday or Thursday at 9 h that is not before ``done``."""
    morning = done.replace(hour=OPENS_H, minute=0)
    later = (morning + timedelta(days=days) for days in range(8))
    return next(day for day in later if day >= done and day.weekday() in (MONDAY, THURSDAY))


def saving(truth: Floats, jobs: Sequence[Training], search: Search, deadline: Deadline) -> float:
    """Return the share of all emissions saved by planning each job once, over the draws of the noise."""
    emitted, at_once = 0.0, 0.0
    for seed in range(DRAWS):
        noisy = truth + np.random.default_rng(seed).normal(
            0, NOISE * truth[: 366 * 48].mean(), size=len(truth)
        )
        for job in jobs:
            until = deadline(job.at + job.duration)
            plan = search(_forecast(noisy, job.at, until), now=job.at, duration=job.duration, deadline=until)
            emitted += sum(_grams(truth, window.start, window.end) for window in plan.windows)
            at_once += _grams(truth, job.at, job.at + job.duration)
    return 1 - emitted / at_once


def _and_a_half_hour(deadline: Deadline) -> Deadline:
    return lambda done: deadline(done) + STEP


def _forecast(expected: Floats, start: datetime, end: datetime) -> Forecast:
    values = expected[(start - YEAR) // STEP : (end - YEAR) // STEP]
    return Forecast("zone", "trace", "average lifecycle", start, start, STEP, values, values, values, "noise")


def _grams(truth: Floats, start: datetime, end: datetime) -> float:
    """Return what 1 kW emits in half hours that are taken whole."""
    return float(truth[(start - YEAR) // STEP : (end - YEAR) // STEP].sum() / 2)


if __name__ == "__main__":
    sys.exit(main())
