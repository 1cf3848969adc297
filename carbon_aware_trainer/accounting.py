"""From joules to kWh and grams of CO2: energy times the intensity in force, at every moment of a span."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from carbon_aware_trainer.errors import BasesMixed
from carbon_aware_trainer.records import JOULES_PER_KWH, Basis, Intensity, IntensitySeries, Interval


@dataclass(frozen=True, slots=True)
class Span:
    """Energy that was used between two moments. None is unknown."""

    start: datetime
    end: datetime
    energy_kwh: float | None


@dataclass(frozen=True, slots=True)
class PowerSample:
    """The mean power of all sources together since the sample before, up to ``at``."""

    at: datetime
    power_w: float


@dataclass(frozen=True, slots=True)
class Co2:
    """The CO2 of a span and on whose figures it rests. None is unknown; ``reason`` says why."""

    co2_g: float | None
    zone: str
    provider: str
    basis: Basis
    start: datetime
    end: datetime
    g_per_kwh: float | None = None
    """Weighted by the energy used at each of the intensities."""
    reason: str | None = None


def energy_kwh(joules: float) -> float:
    """Convert joules to kWh."""
    return joules / JOULES_PER_KWH


def facility_energy_kwh(it_energy_kwh: float, pue: float) -> float:
    """Return what the building used for ``it_energy_kwh``: times its power usage effectiveness, at least 1.

    Source: ISO/IEC 30134-2, PUE = energy of the data centre / energy of its IT equipment.
    Raises ValueError below 1.
    """
    if pue < 1:
        raise ValueError(f"A PUE of {pue:g} is below 1: a building uses at least what is used in it.")
    return it_energy_kwh * pue


def co2_g(energy_kwh: float, intensity: Intensity) -> float:
    """Return the grams of CO2 equivalent that ``energy_kwh`` caused: energy times the intensity in force."""
    return energy_kwh * intensity.g_per_kwh


def co2_of(span: Span, series: IntensitySeries, power: Sequence[PowerSample] = ()) -> Co2:
    """Return the CO2 of a span: the sum over intervals of the energy in each times its intensity.

    The meter says how much was used; ``power``, oldest first, only how it spreads over the span. Without at
    least two samples it is taken as even. A span that is partly without intensity has an unknown CO2.
    """
    parts = list(_parts(span, series))
    lacking = next((part for part in parts if part.g_per_kwh is None), None)
    known = (series.zone, series.provider, series.basis, span.start, span.end)
    if span.energy_kwh is None:
        return Co2(None, *known, reason="Its energy is unknown.")
    if lacking is not None:
        return Co2(None, *known, reason=_gap(series, lacking))
    weights = _weights(parts, power)
    mean = sum(weight * (part.g_per_kwh or 0.0) for weight, part in zip(weights, parts, strict=True))
    return Co2(span.energy_kwh * mean, *known, g_per_kwh=mean)


def sum_co2(parts: Iterable[Co2]) -> float | None:
    """Add CO2 figures; None as soon as one is unknown. Raises BasesMixed when their bases differ."""
    listed = list(parts)
    bases = sorted({part.basis for part in listed})
    if len(bases) > 1:
        raise BasesMixed(f"CO2 on the bases {' and '.join(bases)} cannot be added. Recompute one of them.")
    grams = [part.co2_g for part in listed]
    return None if None in grams else sum(gram for gram in grams if gram is not None)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a span within one interval, or between two."""

    start: datetime
    end: datetime
    g_per_kwh: float | None


def _parts(span: Span, series: IntensitySeries) -> Iterator[_Part]:
    """Cut a span at the borders of the intervals; what no interval covers has no intensity."""
    if span.end <= span.start:
        within = (i for i in series.intervals if i.start <= span.start < i.end)
        interval = next(within, None)
        yield _Part(span.start, span.end, interval.g_per_kwh if interval else None)
        return
    at = span.start
    for interval in _touched(span, series.intervals):
        if interval.start > at:
            yield _Part(at, interval.start, None)
        start, end = max(at, interval.start), min(span.end, interval.end)
        yield _Part(start, end, interval.g_per_kwh)
        at = end
    if at < span.end:
        yield _Part(at, span.end, None)


def _touched(span: Span, intervals: Sequence[Interval]) -> Iterator[Interval]:
    first = bisect.bisect_right(intervals, span.start, key=lambda interval: interval.end)
    for interval in intervals[first:]:
        if interval.start >= span.end:
            return
        yield interval


def _weights(parts: Sequence[_Part], power: Sequence[PowerSample]) -> list[float]:
    """Return the share of the energy in each part; they sum to 1."""
    if len(parts) == 1:
        return [1.0]
    joules = [_integral(power, part.start, part.end) for part in parts] if len(power) > 1 else [0.0]
    if sum(joules) <= 0:
        joules = [(part.end - part.start).total_seconds() for part in parts]
    return [share / sum(joules) for share in joules]


def _integral(power: Sequence[PowerSample], start: datetime, end: datetime) -> float:
    """Return the joules between two moments; after the last sample its power is held."""
    joules, at = 0.0, start
    first = bisect.bisect_right(power, start, key=lambda sample: sample.at)
    for sample in power[first:]:
        if sample.at >= end:
            return joules + sample.power_w * (end - at).total_seconds()
        joules += sample.power_w * (sample.at - at).total_seconds()
        at = sample.at
    return joules + power[-1].power_w * (end - at).total_seconds()


def _gap(series: IntensitySeries, part: _Part) -> str:
    return (
        f"{series.provider} has no intensity of {series.zone} from {part.start:%Y-%m-%d %H:%M:%S} "
        f"to {part.end:%Y-%m-%d %H:%M:%S} UTC."
    )
