"""What a training used and emitted, and what it would have emitted had it never waited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from carbon_aware_trainer.accounting import Co2, Span, co2_of, energy_kwh, sum_co2
from carbon_aware_trainer.errors import BasesMixed
from carbon_aware_trainer.records import (
    Basis,
    Intensity,
    IntensitySeries,
    Interval,
    Quality,
    Reading,
    worst_quality,
)
from carbon_aware_trainer.traces import Trace

# A value that nobody confirms any more is not known to hold for longer: what providers call stale.
HOLD = timedelta(hours=3)
# Spans are joined within it: intensities change every half hour at most, and a month has few of them.
_GRAIN = timedelta(minutes=5)
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Used:
    """What was used in a span, and how far pauses before it had moved it from where it would have been."""

    span: Span
    shift: timedelta
    is_running: bool
    quality: Quality | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums up to now, of what is known. None: nothing is; ``reason`` says why something is not.

    unknown_energy, unknown_co2: how long what was used or emitted is not known, and in no sum. The comparison
    with run-now is None as soon as something that it needs is unknown.
    """

    energy_kwh: float | None
    co2_g: float | None
    run_now_co2_g: float | None
    saved_g: float | None
    running: timedelta
    paused: timedelta
    unknown_energy: timedelta
    unknown_co2: timedelta
    g_per_kwh: float | None
    """The mean intensity of what was used, as far as it is known."""
    quality: Quality | None
    reason: str | None


class Account:
    """The spans of a training and the intensities seen meanwhile, all of one provider on one basis."""

    def __init__(self, zone: str, provider: str, basis: Basis) -> None:
        """Take whose figures count."""
        self._zone, self._provider, self._basis = zone, provider, basis
        self._used: list[Used] = []
        self._seen: dict[datetime, tuple[float, datetime, str]] = {}
        self._recorded: list[Interval] = []
        self._recorded_by = provider
        self._paused = self._prepared = timedelta()

    @property
    def paused(self) -> timedelta:
        """All pauses so far."""
        return self._paused

    @property
    def running(self) -> timedelta:
        """All time since the first step that was no pause."""
        spans = (used.span for used in self._used if used.is_running)
        return sum((span.end - span.start for span in spans), timedelta()) - self._prepared

    def observe(self, intensity: Intensity, at: datetime) -> None:
        """Take an intensity that was in force at a moment. Raises BasesMixed for one on another basis."""
        if intensity.kind != self._basis:
            raise BasesMixed(
                f"An intensity is {intensity.kind}, the others are {self._basis}. Ask one provider."
            )
        self._provider = intensity.provider
        begin = intensity.at or _EVER
        end = datetime.max.replace(tzinfo=UTC) if intensity.at is None else at + HOLD
        self._seen[begin] = (intensity.g_per_kwh, end, intensity.provider)

    def take_record(self, trace: Trace) -> None:
        """Take what was recorded, which counts for the time in which nothing was seen."""
        if trace.basis == self._basis:
            self._recorded = list(trace.as_series().intervals)
            self._recorded_by = trace.provider

    def book(
        self, start: datetime, end: datetime, reading: Reading, *, is_running: bool, is_begun: bool = True
    ) -> None:
        """Take what was used in a span that follows the one before; ``is_begun``: after the first step."""
        if end <= start:
            return
        if is_running and not is_begun:
            self._prepared += end - start
        kwh = None if reading.energy_j is None else energy_kwh(reading.energy_j)
        shift = self._paused
        if not is_running:
            self._paused += end - start
        new = Used(Span(start, end, kwh), shift, is_running, reading.quality, reading.reason)
        joined = _join(self._used[-1], new) if self._used else None
        if joined is not None:
            self._used[-1] = joined
        else:
            self._used.append(new)

    def gap(self) -> tuple[datetime, datetime] | None:
        """Return from when to when intensities lack; None when all are known."""
        series = self._series()
        lacking = [
            used.span
            for used in self._used
            if used.span.energy_kwh is not None and co2_of(used.span, series).co2_g is None
        ]
        return (lacking[0].start, lacking[-1].end) if lacking else None

    def totals(self) -> Totals:
        """Return the sums so far.

        Run-now: what ran, moved to where it would have run without any pause, times what was in force then;
        what was used in pauses counts as used, but not there. Saved: on one provider's figures only.
        """
        series = self._series()
        spans = [used.span for used in self._used]
        parts = [co2_of(span, series) for span in spans]
        undelayed = [co2_of(_moved(used), series) for used in self._used if used.is_running]
        co2 = _sum([part.co2_g for part in parts])
        charged = sum(_known(span.energy_kwh) for span, part in zip(spans, parts, strict=True) if _has(part))
        mixed, run_now = self._mixed(), sum_co2(undelayed)
        exact = None if mixed else sum_co2(parts)
        return Totals(
            _sum([span.energy_kwh for span in spans]),
            co2,
            run_now,
            None if exact is None or run_now is None else run_now - exact,
            self.running,
            self._paused,
            _length(span for span in spans if span.energy_kwh is None),
            _length(span for span, part in zip(spans, parts, strict=True) if not _has(part)),
            co2 / charged if co2 is not None and charged else None,
            self._quality(),
            _why(self._used, [*parts, *undelayed]) or mixed,
        )

    def _mixed(self) -> str | None:
        """Say why what was emitted cannot be compared with running at once; None where it can."""
        sources = self._sources()
        if len({provider for _, provider in sources}) < 2:
            return None
        spans = [span for used in self._used for span in ([used.span, _moved(used)])]
        counted = {
            provider
            for interval, provider in sources
            if any(span.start < interval.end and interval.start < span.end for span in spans)
        }
        if len(counted) < 2:
            return None
        return (
            f"Intensities are of {' and '.join(sorted(counted))}: what was saved is not known from a mixture."
        )

    def _quality(self) -> Quality | None:
        qualities = {used.quality for used in self._used if used.quality is not None}
        return worst_quality(qualities) if qualities else None

    def _series(self) -> IntensitySeries:
        """Return what was seen, each until the next or until nobody confirmed it; between them the record."""
        intervals = tuple(interval for interval, _ in self._sources())
        return IntensitySeries(self._zone, self._provider, self._basis, intervals)

    def _sources(self) -> list[tuple[Interval, str]]:
        """Return the intervals in order, each with its provider."""
        begins = sorted(self._seen)
        seen = []
        for begin, following in zip(begins, [*begins[1:], None], strict=False):
            value, end, provider = self._seen[begin]
            seen.append((Interval(begin, end if following is None else min(end, following), value), provider))
        between = _between(self._recorded, [interval for interval, _ in seen])
        listed = [*seen, *((interval, self._recorded_by) for interval in between)]
        return sorted(listed, key=lambda source: source[0].start)


def _sum(amounts: Sequence[float | None]) -> float | None:
    """Add what is known; None when there is something and nothing of it is."""
    known = [amount for amount in amounts if amount is not None]
    return None if amounts and not known else sum(known)


def _known(energy_kwh: float | None) -> float:
    return energy_kwh or 0.0


def _has(part: Co2) -> bool:
    return part.co2_g is not None


def _length(spans: Iterable[Span]) -> timedelta:
    return sum((span.end - span.start for span in spans), timedelta())


def _between(recorded: Iterable[Interval], seen: Iterable[Interval]) -> Iterable[Interval]:
    """Cut out of what was recorded all that was seen."""
    left = list(recorded)
    for interval in seen:
        left = [
            replace(part, start=start, end=end)
            for part in left
            for start, end in (
                (part.start, min(part.end, interval.start)), (max(part.start, interval.end), part.end),
            )
            if start < end
        ]  # fmt: skip
    return left


def _join(last: Used, new: Used) -> Used | None:
    """Return two spans as one where that loses nothing; else None."""
    is_alike = (last.is_running, last.quality, last.reason) == (new.is_running, new.quality, new.reason)
    slots = {int(at.timestamp() // _GRAIN.total_seconds()) for at in (last.span.start, new.span.start)}
    if not is_alike or last.span.end != new.span.start or len(slots) > 1:
        return None
    kwh = (last.span.energy_kwh, new.span.energy_kwh)
    total = None if None in kwh else sum(part for part in kwh if part is not None)
    return replace(last, span=Span(last.span.start, new.span.end, total))


def _moved(used: Used) -> Span:
    return replace(used.span, start=used.span.start - used.shift, end=used.span.end - used.shift)


def _why(used: Iterable[Used], parts: Iterable[Co2]) -> str | None:
    unknown = [one.reason for one in used if one.span.energy_kwh is None]
    lacking = [part.reason for part in parts if part.co2_g is None]
    return next((reason for reason in [*unknown, *lacking] if reason), None)
