"""A run's CO₂ computed again from its recorded energy and other intensities; pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from carbon_aware_trainer.accounting import PowerSample, Span, co2_of
from carbon_aware_trainer.records import IntensitySeries
from errors import Conflict
from schema import (
    Attempt,
    Co2Revision,
    Co2Source,
    EpochResult,
    ExtraCost,
    Recomputation,
    Run,
    day_of,
)

# What every run had before it said so: the yearly average of a country.
_FIRST_BASIS = "average lifecycle"
_DIGITS = 6
Used = EpochResult | ExtraCost
_Used = TypeVar("_Used", EpochResult, ExtraCost)
_UNKNOWN_TIME = "When this epoch was trained is not known, so no intensity can be chosen for it."


@dataclass(frozen=True)
class Recorded:
    """Everything of a run that its CO₂ rests on."""

    run: Run
    epochs: Sequence[EpochResult]
    superseded: Sequence[EpochResult]
    extras: Sequence[ExtraCost]
    attempts: Sequence[Attempt]
    power: Sequence[PowerSample] = ()


def source_of(run: Run) -> Co2Source:
    """Return whose intensities the run's CO₂ rests on: those it was recorded with, or later ones."""
    if run.co2_source is not None:
        return run.co2_source
    facts = run.environment
    return Co2Source(
        zone=str(facts.get("intensity_zone") or facts.get("intensity_source") or "unknown"),
        provider=str(facts.get("intensity_provider") or "static"),
        basis=str(facts.get("intensity_basis") or _FIRST_BASIS),
    )


def recompute(recorded: Recorded, series: IntensitySeries, now: datetime) -> Recomputation | None:
    """Return the new figures of a run; None when they are what is stored.

    Raises Conflict for another basis than the run's, since lists and totals would mix two, and for a run
    whose epochs do not add up to its energy.
    """
    run, old = recorded.run, source_of(recorded.run)
    if old.basis != series.basis:
        raise Conflict(
            f"Run {run.run_id} has CO2 on the basis {old.basis}; figures on the basis {series.basis} cannot "
            "replace it, since lists and totals would mix two. Send intensities on its own basis."
        )
    _check_complete(recorded)
    spans = {attempt.attempt: attempt for attempt in recorded.attempts}
    fresh = [_with_co2(result, spans, recorded.power, series) for result in recorded.epochs]
    stale = [_with_co2(result, spans, recorded.power, series) for result in recorded.superseded]
    extras = [_with_co2(cost, spans, recorded.power, series) for cost in recorded.extras]
    before: list[Used] = [*recorded.epochs, *recorded.superseded, *recorded.extras]
    after: list[Used] = [*fresh, *stale, *extras]
    if before == after and (old.zone, old.provider) == (series.zone, series.provider):
        return None
    by_attempt = _by_attempt(after)
    return Recomputation(
        run_id=run.run_id,
        attempt=run.attempt,
        recomputations=run.recomputations,
        epochs=tuple(fresh),
        superseded=tuple(stale),
        extras=tuple(extras),
        co2_g_by_attempt=by_attempt,
        co2_g=_sum(list(by_attempt.values())),
        source=Co2Source(zone=series.zone, provider=series.provider, basis=series.basis, at=now),
        replaced=Co2Revision(replaced_at=now, co2_g=run.co2_g, source=old),
        project=run.options.project,
        day_changes=_day_changes(before, after, spans),
    )


def _check_complete(recorded: Recorded) -> None:
    """Refuse a run whose attempts used energy that no epoch accounts for, as before these were kept."""
    known: dict[int, float] = defaultdict(float)
    parts: list[Used] = [*recorded.epochs, *recorded.superseded, *recorded.extras]
    for result in parts:
        known[result.attempt or 0] += result.energy_kwh or 0.0
    for attempt in recorded.attempts:
        used = attempt.energy_kwh
        if used is not None and abs(used - known[attempt.attempt]) > 1e-6 * used:
            raise Conflict(
                f"Attempt {attempt.attempt} of run {recorded.run.run_id} used energy of epochs that are no "
                "longer known, so its CO2 cannot be computed again."
            )


def _with_co2(
    result: _Used, attempts: Mapping[int, Attempt], power: Sequence[PowerSample], series: IntensitySeries
) -> _Used:
    if result.energy_kwh is None:
        return result
    start, end = _span_of(result, attempts)
    is_constant = len({interval.g_per_kwh for interval in series.intervals}) == 1
    if result.ended_at is None and not is_constant:
        return _costed(result, None, None, _UNKNOWN_TIME)
    found = co2_of(Span(start, end, result.energy_kwh), series, power)
    return _costed(result, found.co2_g, found.g_per_kwh, found.reason)


def _costed(result: _Used, co2_g: float | None, g_per_kwh: float | None, reason: str | None) -> _Used:
    """Give an epoch its CO₂ to as many digits as are stored; a change in the last one is none."""
    if co2_g is not None:
        co2_g = float(f"{co2_g:.{_DIGITS}g}")
        if result.co2_g is not None and math.isclose(co2_g, result.co2_g, rel_tol=10.0 ** (1 - _DIGITS)):
            co2_g = result.co2_g
    return result.model_copy(update={"co2_g": co2_g, "intensity_g_per_kwh": g_per_kwh, "co2_reason": reason})


def _span_of(result: Used, attempts: Mapping[int, Attempt]) -> tuple[datetime, datetime]:
    """Return when the energy was used; the whole attempt where that is not known."""
    if result.ended_at is not None:
        begin = result.ended_at.timestamp() - _span_s(result)
        return datetime.fromtimestamp(begin, UTC), result.ended_at
    attempt = attempts[result.attempt or 1]
    return attempt.started_at, attempt.ended_at or attempt.started_at


def _span_s(result: Used) -> float:
    if isinstance(result, ExtraCost):
        return result.span_s
    return result.duration_s - (result.resumed_after_s or 0.0)


def _by_attempt(results: Sequence[Used]) -> dict[int, float | None]:
    grams: dict[int, list[float | None]] = defaultdict(list)
    for result in results:
        grams[result.attempt or 1].append(result.co2_g)
    return {attempt: _sum(values) for attempt, values in sorted(grams.items())}


def _sum(values: Sequence[float | None]) -> float | None:
    """Add; None as soon as one is unknown, and for no values at all."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _day_changes(
    old: Sequence[Used], new: Sequence[Used], attempts: Mapping[int, Attempt]
) -> dict[str, tuple[float, int]]:
    """Return by how much the totals of each day change: grams, and epochs whose grams are unknown."""
    changes: dict[str, tuple[float, int]] = {}
    for before, after in zip(old, new, strict=True):
        day = day_of(before.ended_at or attempts[before.attempt or 1].started_at)
        grams, unknown = changes.get(day, (0.0, 0))
        changes[day] = (
            grams + (after.co2_g or 0.0) - (before.co2_g or 0.0),
            unknown + (after.co2_g is None) - (before.co2_g is None),
        )
    return changes
