"""A run's CO₂ computed again from its recorded energy and other intensities; pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from carbon_aware_trainer.accounting import PowerSample, Span, co2_of
from carbon_aware_trainer.records import IntensitySeries
from carbon_aware_trainer.traces import HOUR
from errors import Conflict
from scheduling.in_force import held
from scheduling.parts import FindTrace, Part, Used, span_of, zones_of
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
_Used = TypeVar("_Used", EpochResult, ExtraCost)
# The intensities of each attempt, which may have been in different zones.
ByAttempt = Mapping[int, IntensitySeries]
_UNKNOWN_TIME = "When this epoch was trained is not known, so no intensity can be chosen for it."


def source_of(run: Run) -> Co2Source:
    """Return whose intensities the run's CO₂ rests on: those it was recorded with, or later ones."""
    if run.co2_source is not None:
        return run.co2_source
    facts = run.environment
    providers = [str(facts.get("intensity_provider") or "static"), str(facts.get("intensity_others") or "")]
    return Co2Source(
        zone=str(facts.get("intensity_zone") or facts.get("intensity_source") or "unknown"),
        provider=", ".join(name for name in providers if name),
        basis=str(facts.get("intensity_basis") or _FIRST_BASIS),
    )


def recompute(used: Used, series: IntensitySeries | ByAttempt, now: datetime) -> Recomputation | None:
    """Return the new figures of a run; None when they are what is stored.

    series: of all attempts, or of each its own, all of one provider and basis.
    Raises Conflict for another basis than the run's, since lists and totals would mix two, and for a run
    whose epochs do not add up to its energy.
    """
    run, old = used.run, source_of(used.run)
    if isinstance(series, Mapping):
        by_attempt, new = series, _source(list(series.values()), now)
    else:
        by_attempt, new = {each.attempt: series for each in used.attempts}, _source([series], now)
    _check_basis(run, old, new)
    _check_complete(used)
    spans = used.by_attempt
    fresh = [_with_co2(result, spans, used.power, by_attempt) for result in used.epochs]
    stale = [_with_co2(result, spans, used.power, by_attempt) for result in used.superseded]
    extras = [_with_co2(cost, spans, used.power, by_attempt) for cost in used.extras]
    before = used.parts
    after: list[Part] = [*fresh, *stale, *extras]
    if before == after and (old.zone, old.provider) == (new.zone, new.provider):
        return None
    grams = _by_attempt(after)
    return Recomputation(
        run_id=run.run_id,
        attempt=run.attempt,
        recomputations=run.recomputations,
        epochs=tuple(fresh),
        superseded=tuple(stale),
        extras=tuple(extras),
        co2_g_by_attempt=grams,
        co2_g=_sum(list(grams.values())),
        source=new,
        replaced=Co2Revision(replaced_at=now, co2_g=run.co2_g, source=old),
        project=run.options.project,
        day_changes=_day_changes(before, after, spans),
    )


def series_of_attempts(used: Used, find_trace: FindTrace, *, home: str, limit: timedelta) -> ByAttempt | None:
    """Return what was recorded of each attempt's zone while it ran; None where that is nothing.

    limit: how long a value counts where the next one is missing.
    """
    attempts, zones = used.by_attempt, zones_of(used, home)
    parts = [part for part in used.parts if part.attempt in attempts]
    spans = [span_of(part, attempts[part.attempt or 1]) for part in parts]
    if not spans:
        return None
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    traces = {zone: find_trace(zone, start - limit - HOUR, end) for zone in dict.fromkeys(zones.values())}
    series = {zone: held(trace, limit).as_series() for zone, trace in traces.items() if trace is not None}
    kinds = {(each.provider, each.basis) for each in series.values()}
    if len(series) < len(traces) or len(kinds) != 1:
        return None
    return {attempt: series[zone] for attempt, zone in zones.items()}


def is_whole(new: Recomputation) -> bool:
    """Say whether the CO₂ of every part is known whose energy is."""
    parts: list[Part] = [*new.epochs, *new.superseded, *new.extras]
    return all(part.co2_g is not None or part.energy_kwh is None for part in parts)


def _source(series: Sequence[IntensitySeries], now: datetime) -> Co2Source:
    """Return whose figures these are: of one zone, or of several."""
    zones = ", ".join(dict.fromkeys(each.zone for each in series))
    return Co2Source(zone=zones, provider=series[0].provider, basis=series[0].basis, at=now)


def _check_basis(run: Run, old: Co2Source, new: Co2Source) -> None:
    if old.basis != new.basis:
        raise Conflict(
            f"Run {run.run_id} has CO2 on the basis {old.basis}; figures on the basis {new.basis} cannot "
            "replace it, since lists and totals would mix two. Send intensities on its own basis."
        )


def _check_complete(recorded: Used) -> None:
    """Refuse a run whose attempts used energy that no epoch accounts for, as before these were kept."""
    known: dict[int, float] = defaultdict(float)
    for result in recorded.parts:
        if (number := result.attempt or 1) not in recorded.by_attempt:
            raise Conflict(
                f"Attempt {number} of run {recorded.run.run_id} is not known, so its CO2 cannot be computed "
                "again; nothing was written."
            )
        known[number] += result.energy_kwh or 0.0
    for attempt in recorded.attempts:
        used = attempt.energy_kwh
        if used is not None and abs(used - known[attempt.attempt]) > 1e-6 * used:
            raise Conflict(
                f"Attempt {attempt.attempt} of run {recorded.run.run_id} used energy of epochs that are no "
                "longer known, so its CO2 cannot be computed again."
            )


def _with_co2(
    result: _Used, attempts: Mapping[int, Attempt], power: Sequence[PowerSample], by_attempt: ByAttempt
) -> _Used:
    if result.energy_kwh is None:
        return result
    series = by_attempt[result.attempt or 1]
    start, end = span_of(result, attempts[result.attempt or 1])
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
    if g_per_kwh is not None:
        g_per_kwh = float(f"{g_per_kwh:.{_DIGITS}g}")
    found = {"co2_g": co2_g, "intensity_g_per_kwh": g_per_kwh, "co2_reason": reason}
    return result.model_copy(update={**found, "intensity_provider": None})


def _by_attempt(results: Sequence[Part]) -> dict[int, float | None]:
    grams: dict[int, list[float | None]] = defaultdict(list)
    for result in results:
        grams[result.attempt or 1].append(result.co2_g)
    return {attempt: _sum(values) for attempt, values in sorted(grams.items())}


def _sum(values: Sequence[float | None]) -> float | None:
    """Add; None as soon as one is unknown, and for no values at all."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _day_changes(
    old: Sequence[Part], new: Sequence[Part], attempts: Mapping[int, Attempt]
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
