"""What a sweep has achieved and used, and which of its limits is reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schema.sweeps import Sweep, SweepLimits, SweepSummary, Trial, TrialState

# So many trials that all fail end a sweep: the next ones would, too.
HOPELESS_TRIALS: Final = 5
_SHOWN_OF_FRONT: Final = 20


@dataclass(frozen=True)
class Limit:
    """A limit that was reached."""

    text: str
    is_budget: bool
    """True when also trials that wait have to be withdrawn: they would use more of it."""


def sum_up(trials: Sequence[Trial]) -> SweepSummary:
    """Add up trials, also failed and pruned ones."""
    counts = Counter(trial.state for trial in trials)
    best = [trial for trial in trials if trial.is_best]
    return SweepSummary(
        counts={state: counts[state] for state in TrialState},
        energy_kwh=sum(trial.energy_kwh or 0.0 for trial in trials),
        co2_g=sum(trial.co2_g or 0.0 for trial in trials),
        duration_s=sum(trial.duration_s or 0.0 for trial in trials),
        unknown=sum(_is_unknown(trial) for trial in trials),
        saved_co2_g=sum(trial.saved_co2_g or 0.0 for trial in trials),
        saved_energy_kwh=sum(trial.saved_energy_kwh or 0.0 for trial in trials),
        best=tuple(best[:_SHOWN_OF_FRONT]),
    )


def find_limit(sweep: Sweep, used: SweepSummary, now: datetime, *, is_exhausted: bool) -> Limit | None:
    """Return the limit that is reached, the budgets first; None while a trial may be begun."""
    limits = sweep.request.limits
    if text := _spent(limits, used) or _late(limits, sweep.created_at, now):
        return Limit(text, is_budget=True)
    if used.trials >= limits.trials:
        return Limit(f"all {_count(limits.trials)} are begun", is_budget=False)
    if is_exhausted:
        return Limit(f"all {_count(used.trials)} of the grid are begun", is_budget=False)
    return None


def is_hopeless(used: SweepSummary, limits: SweepLimits) -> bool:
    """Tell whether the first trials have all failed."""
    failed = used.counts.get(TrialState.FAILED, 0)
    others = used.counts.get(TrialState.COMPLETE, 0) + used.counts.get(TrialState.PRUNED, 0)
    return not others and failed >= min(HOPELESS_TRIALS, limits.trials)


def _spent(limits: SweepLimits, used: SweepSummary) -> str | None:
    if limits.energy_wh is not None and 1000 * used.energy_kwh >= limits.energy_wh:
        return f"{1000 * used.energy_kwh:.3g} Wh are used, and the limit is {limits.energy_wh:g} Wh"
    if limits.co2_g is not None and used.co2_g >= limits.co2_g:
        return f"{used.co2_g:.3g} g of CO₂ are used, and the limit is {limits.co2_g:g} g"
    return None


def _late(limits: SweepLimits, created_at: datetime, now: datetime) -> str | None:
    if limits.hours is not None and (now - created_at).total_seconds() >= 3600 * limits.hours:
        return f"it has had its {limits.hours:g} h"
    if limits.end_at is not None and now >= limits.end_at:
        return f"it was to begin no trial after {limits.end_at:%Y-%m-%d %H:%M} UTC"
    return None


def _is_unknown(trial: Trial) -> bool:
    return trial.epochs_done > 0 and (trial.energy_kwh is None or trial.co2_g is None)


def _count(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"
