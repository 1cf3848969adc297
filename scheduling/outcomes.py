"""What a run that has ended emitted, against what it would have emitted had it run at once; pure.

Energy is charged with the intensity that was in force, as it was recorded. The run at once is the same energy
without what its plans held it back before its first attempt and between attempts: in the first of its zones
where its plans chose among several, else where it was.
It waits as long for everything else: for its start_at, a worker, a person, the pause after a failure. What
starting again after a pause used is the plan's own cost: the run at once would not have had it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from carbon_aware_trainer.accounting import Co2, Span, co2_of, sum_co2
from carbon_aware_trainer.errors import BasesMixed
from carbon_aware_trainer.records import IntensitySeries
from scheduling.in_force import held
from scheduling.parts import REST, FindTrace, Used, routes_of, span_of, zones_of
from schema import Attempt, CarbonOutcome, ExtraCost, Run

_POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class _Part:
    attempt: int
    span: Span
    is_of_pause: bool = False


class NotYet(Exception):
    """What was in force is not recorded up to the end of the run; it may be soon."""


def settle(
    used: Used, find_trace: FindTrace, *, home: str, is_last_try: bool, limit: timedelta = timedelta()
) -> CarbonOutcome:
    """Return what the run emitted and saved; what is unknown is None, with the reason.

    home: the zone of a run of which no plan and no worker says one. limit: how long a value counts where the
    next one is missing, as it did when the run was recorded. Raises NotYet where the recorded intensities
    end before the run did, unless is_last_try.
    """
    run, attempts = used.run, sorted(used.attempts, key=lambda each: each.attempt)
    parts, zones = list(_parts(used)), zones_of(used, home)
    energy = [part.span.energy_kwh for part in parts]
    blank = _blank(run, attempts, energy)
    if not attempts or not parts:
        return blank("It never ran, so it emitted nothing and saved nothing.")
    if None in energy or run.energy_kwh is None:
        return blank("A part of its energy is unknown, so what it saved is unknown.")
    shifts = _shifts(run, attempts)
    actual = [(zones[part.attempt], part.span) for part in parts]
    first = routes_of(run)[:1]
    moved = [
        (first[0] if first else zones[part.attempt], _shifted(part, shifts))
        for part in parts
        if not part.is_of_pause
    ]
    series: dict[str, IntensitySeries] = {}
    for zone in dict.fromkeys(zone for zone, _ in (*actual, *moved)):
        spans = [span for name, span in (*actual, *moved) if name == zone]
        trace = find_trace(zone, *_bounds(spans))
        if not is_last_try and (trace is None or trace.end < _bounds(spans)[1]):
            raise NotYet(zone)
        if trace is not None:
            series[zone] = held(trace, limit).as_series()
    outcome = _compared(blank, actual, moved, series)
    if outcome.co2_g is None and not is_last_try:
        raise NotYet(outcome.reason)
    return outcome


def unsettled(run: Run, reason: str) -> CarbonOutcome:
    """Return an outcome of which nothing is known."""
    return _blank(run, (), ())(reason)


def _blank(
    run: Run, attempts: Sequence[Attempt], energy: Sequence[float | None]
) -> Callable[[str | None], CarbonOutcome]:
    """Return an outcome without figures, given its reason."""
    pauses = [each for each in attempts if each.end_reason == _POSTPONED and each.ended_at is not None]
    following = {each.attempt - 1: each.started_at for each in attempts}
    paused_s = sum(
        max(0.0, (following[each.attempt] - each.ended_at).total_seconds())
        for each in pauses
        if each.attempt in following and each.ended_at is not None
    )
    known = [kwh for kwh in energy if kwh is not None]
    year, week, _ = (run.ended_at or run.time_added).isocalendar()
    total = sum(known) if known and len(known) == len(energy) else None

    def outcome(reason: str | None) -> CarbonOutcome:
        return CarbonOutcome(
            week=f"{year}-W{week:02d}",
            energy_kwh=total,
            paused_s=paused_s,
            pauses=len(pauses),
            reason=reason,
        )

    return outcome


def _compared(
    blank: Callable[[str | None], CarbonOutcome],
    actual: Sequence[tuple[str, Span]],
    moved: Sequence[tuple[str, Span]],
    series: Mapping[str, IntensitySeries],
) -> CarbonOutcome:
    """Charge the energy twice: when it was used, and when it would have been.

    What it emitted is known also where that of the run at once is not.
    """
    providers = {(each.provider, each.basis) for each in series.values()}
    if len(providers) > 1:
        return blank("Its zones have intensities of several providers or bases, which are never compared.")
    grams, unknown = _charge(actual, series)
    run_now, unknown_at_once = _charge(moved, series)
    outcome = blank(unknown or unknown_at_once)
    if not providers:
        return outcome
    provider, basis = next(iter(providers))
    zones = ", ".join(dict.fromkeys(zone for zone, _ in actual))
    found: dict[str, Any] = {"zone": zones, "provider": provider, "basis": str(basis), "co2_g": grams}
    if grams is not None and run_now is not None:
        found |= {"run_now_co2_g": run_now, "saved_g": run_now - grams}
    return outcome.model_copy(update=found)


def _charge(
    spans: Sequence[tuple[str, Span]], series: Mapping[str, IntensitySeries]
) -> tuple[float | None, str | None]:
    """Return the grams of spans, each in its zone; or None and why they are unknown."""
    for zone, _ in spans:
        if zone not in series:
            return None, f"No intensities of {zone} were recorded while it ran."
    parts = [co2_of(span, series[zone]) for zone, span in spans]
    reason = next((part.reason for part in parts if part.reason is not None), None)
    return (None, reason) if reason is not None else (_sum(parts), None)


def _sum(parts: Sequence[Co2]) -> float | None:
    try:
        return sum_co2(parts)
    except BasesMixed:
        return None


def _parts(used: Used) -> Iterable[_Part]:
    """Yield what was used when; a part of an attempt that is not known is left out."""
    attempts = used.by_attempt
    for part in used.parts:
        attempt = attempts.get(part.attempt or 1)
        if attempt is None:
            continue
        is_rest = isinstance(part, ExtraCost) and part.name == REST
        before = attempts.get(attempt.attempt - 1)
        is_of_pause = is_rest and before is not None and before.end_reason == _POSTPONED
        yield _Part(attempt.attempt, Span(*span_of(part, attempt), part.energy_kwh), is_of_pause)


def _shifts(run: Run, attempts: Sequence[Attempt]) -> dict[int, timedelta]:
    """Return by how much each attempt would have been earlier: without what its plans held it back.

    What else it waited for, such as a worker, a person or the end of a failure's pause, it would have, too.
    """
    shifts: dict[int, timedelta] = {}
    shift = -_held_back(run, attempts[0])
    for each, following in zip(attempts, [*attempts[1:], None], strict=True):
        shifts[each.attempt] = shift
        if following is not None and each.end_reason == _POSTPONED and each.ended_at is not None:
            shift -= max(timedelta(), following.started_at - each.ended_at)
    return shifts


def _held_back(run: Run, first: Attempt) -> timedelta:
    """Return for how long plans kept it from its first attempt."""
    until = run.carbon.deferred_until if run.carbon is not None else None
    if until is None:
        return timedelta()
    begin = max(run.time_added, run.options.start_at or run.time_added)
    return max(timedelta(), min(until, first.started_at) - begin)


def _shifted(part: _Part, shifts: Mapping[int, timedelta]) -> Span:
    shift = shifts[part.attempt]
    return Span(part.span.start + shift, part.span.end + shift, part.span.energy_kwh)


def _bounds(spans: Sequence[Span]) -> tuple[datetime, datetime]:
    return min(span.start for span in spans), max(span.end for span in spans)
