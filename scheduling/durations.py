"""How long a run will take and what it will use: from past runs like it, or its own epochs; pure.

The figure is the median of what past runs took, and a margin that holds nine in ten of them where there are
enough to tell: a deadline is kept with the margin, so that a slow host does not miss it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue

from schema import EpochResult, Run

MARGIN = 0.2
MAX_PAST_RUNS = 20
# What a run of a kind that never ended here is taken for; long, so that a deadline is not missed for it.
GUESSED_EPOCH_S, GUESSED_START_S = 60.0, 60.0
# Longer work than any deadline or delay allows for: more would not change a plan.
_LONGEST_S = 366 * 86_400.0
_ENOUGH_FOR_SPREAD = 5
_ALIKE = ("trainer", "network", "dataset", "image_folder", "image_side", "script")
_SPEED = ("batch_size", "precision", "compile", "augmentation", "gpus")
# What says nothing about the cost of an epoch, or only bounds how many there are.
_FREE = ("num_epochs", "seed", "max_energy_wh", "max_co2_g", "max_duration_s")


@dataclass(frozen=True, slots=True)
class Work:
    """The work that is left of a run.

    likely: the median. duration: with the margin. resume_cost: what a pause adds, for starting again.
    energy_kwh: of what is left, None where unknown. is_guess: no run like it has ended.
    """

    likely: timedelta
    margin: timedelta
    resume_cost: timedelta
    energy_kwh: float | None
    source: str
    is_guess: bool = False

    @property
    def duration(self) -> timedelta:
        """What is planned with."""
        return self.likely + self.margin


def estimate(
    hyper_params: Mapping[str, JsonValue],
    past: Sequence[Run],
    *,
    own: Sequence[EpochResult] = (),
    is_started: bool = False,
    limit_s: float | None = None,
) -> Work:
    """Estimate the work that is left.

    past: runs that are done, newest first. own: the run's epochs so far; two or more say more than other
    runs. is_started: it trains now, so it has not to start any more. limit_s: the longest it may train.
    """
    alike = _same_speed([run for run in past if is_alike(run, hyper_params)], hyper_params)[:MAX_PAST_RUNS]
    total = _number(hyper_params.get("num_epochs")) or 1.0
    left = max(0.0, total - len(own))
    start_s, start_source = _start_s(alike)
    rates, source, is_guess = _rates(alike, own)
    likely_s = left * statistics.median(rates) + (0.0 if is_started else start_s)
    margin_s = left * (_high(rates) - statistics.median(rates))
    if (bound_s := _bound_s(hyper_params, limit_s)) is not None and bound_s < likely_s:
        likely_s, margin_s, source = bound_s, 0.0, f"the longest it may train, {bound_s:g} s"
    energy = _energy_per_epoch(alike, own)
    return Work(
        timedelta(seconds=min(max(likely_s, 1.0), _LONGEST_S)),
        timedelta(seconds=min(margin_s, _LONGEST_S)),
        timedelta(seconds=start_s),
        None if energy is None else left * energy,
        source if own or not start_source else f"{source}{start_source}",
        is_guess,
    )


def is_alike(run: Run, hyper_params: Mapping[str, JsonValue]) -> bool:
    """Say whether an epoch of a run took about as long as one with these values would."""
    if not run.epochs_done or not run.duration_s or run.simulated != (hyper_params.get("simulated") is True):
        return False
    if hyper_params.get("network") and hyper_params.get("dataset"):
        return all(run.hyper_params.get(name) == hyper_params.get(name) for name in _ALIKE)
    free = set(_FREE)
    kinds = (
        {n: v for n, v in values.items() if n not in free} for values in (run.hyper_params, hyper_params)
    )
    first, second = kinds
    return first == second


def _same_speed(runs: Sequence[Run], hyper_params: Mapping[str, JsonValue]) -> Sequence[Run]:
    """Prefer those that also share what makes an epoch faster."""
    wanted = [hyper_params.get(name) for name in _SPEED]
    same = [run for run in runs if [run.hyper_params.get(name) for name in _SPEED] == wanted]
    return same or runs


def _rates(alike: Sequence[Run], own: Sequence[EpochResult]) -> tuple[list[float], str, bool]:
    """Return seconds per epoch, whose they are, and whether they are a guess."""
    seen = [result.duration_s for result in own if not result.resumed_after_s]
    # The first epoch warms up.
    seen = seen[1:] if len(seen) > 2 else seen
    if len(seen) >= 2 or (seen and not alike):
        return seen, f"its own {_count(len(seen), 'epoch')}", False
    if alike:
        rates = [(run.duration_s or 0.0) / run.epochs_done for run in alike]
        return rates, f"{_count(len(rates), 'past run')} of the same network and dataset", False
    guess = f"a guess of {GUESSED_EPOCH_S:g} s per epoch: no run of this network and dataset is done yet"
    return [GUESSED_EPOCH_S], guess, True


def _high(rates: Sequence[float]) -> float:
    """Return a rate that few exceed: the ninth decile where there are enough, at least the margin above."""
    median = statistics.median(rates)
    decile = statistics.quantiles(rates, n=10)[-1] if len(rates) >= _ENOUGH_FOR_SPREAD else max(rates)
    return max(median * (1 + MARGIN), decile)


def _start_s(alike: Sequence[Run]) -> tuple[float, str]:
    """Return what an attempt takes besides its epochs, and a word where that is a guess."""
    spent = [
        max(0.0, (run.ended_at - run.started_at).total_seconds() - (run.duration_s or 0.0))
        for run in alike
        if run.attempt == 1 and run.started_at is not None and run.ended_at is not None
    ]
    if spent:
        return statistics.median(spent), ""
    return GUESSED_START_S, f", and a guess of {GUESSED_START_S:g} s to start"


def _energy_per_epoch(alike: Sequence[Run], own: Sequence[EpochResult]) -> float | None:
    seen = [result.energy_kwh for result in own if result.energy_kwh is not None]
    if seen and len(seen) == len(own):
        return statistics.median(seen)
    known = [run.energy_kwh / run.epochs_done for run in alike if run.energy_kwh is not None]
    return statistics.median(known) if known else None


def _bound_s(hyper_params: Mapping[str, JsonValue], limit_s: float | None) -> float | None:
    bounds = [limit_s, _number(hyper_params.get("max_duration_s"))]
    return min((bound for bound in bounds if bound is not None), default=None)


def _number(value: JsonValue) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"
