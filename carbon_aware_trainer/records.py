"""What meters and providers give: counters, readings and intensities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from carbon_aware_trainer.errors import IntensityUnavailable

Quality = Literal["measured", "estimated"]
# What a kWh is charged with: the mix or the next power plant, with or without what building it emits.
Basis = Literal["average lifecycle", "average direct", "marginal lifecycle", "marginal direct"]

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Source:
    """One part of a machine whose energy is known by itself, and how well."""

    key: str  # gpu:0, cpu, dram or ram; on a whole machine a GPU's UUID
    quality: Quality
    text: str  # what is read and how, for a person
    error: str  # the error to expect, for a person
    step_s: float  # how often the counter moves
    is_counted: bool = True  # False: shown apart and never in a total


@dataclass(frozen=True, slots=True)
class Counter:
    """The state of one cumulative counter at one moment."""

    joules: float  # used since the meter was opened; never decreases
    at_ns: int  # time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Counters:
    """The state of a meter at one moment, by source."""

    at_ns: int  # time.monotonic_ns()
    joules: Mapping[str, float]  # used since the meter was opened, as far as known; none ever decreases
    lost: Mapping[str, str] = field(
        default_factory=dict
    )  # why what a source used since the last read is not known


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What one source used in a span; ``energy_j`` is None when that is not known, ``reason`` says why."""

    energy_j: float | None
    quality: Quality | None = None
    reason: str | None = None
    window_s: float | None = None  # the finest time the source and its samples resolve around the span
    share: float | None = None  # of what the source gave to the whole machine; None where that was nothing


@dataclass(frozen=True, slots=True)
class Reading:
    """What was used in a span of time. ``energy_j`` is None when that is not known; ``reason`` says why.

    A total that lacks a source is unknown, never smaller; ``sources`` has the parts that are known.
    """

    span_s: float
    energy_j: float | None = None
    quality: Quality | None = None
    reason: str | None = None
    window_s: float | None = None  # the finest time the meter and its samples resolve around this span
    sources: Mapping[str, SourceReading] = field(default_factory=dict)

    @property
    def power_w(self) -> float | None:
        """The mean power over the span; None when unknown."""
        return None if self.energy_j is None else self.energy_j / self.span_s

    @property
    def by_source_j(self) -> dict[str, float]:
        """The joules of the sources that are known."""
        return {key: part.energy_j for key, part in self.sources.items() if part.energy_j is not None}

    @property
    def window_epochs(self) -> int | None:
        """How many spans like this one share one step of the meter; None when it saw this one alone.

        With a value, ``energy_j`` is the span's share of the interpolated counter.
        """
        if self.window_s is None or self.span_s >= self.window_s:
            return None
        return math.ceil(self.window_s / self.span_s)


def add_up(span_s: float, sources: Mapping[str, SourceReading]) -> Reading:
    """Return the reading of a span from its sources: unknown, or estimated, as soon as one of them is."""
    unknown = {key: part.reason for key, part in sources.items() if part.energy_j is None}
    if unknown:
        is_all = len(unknown) == len(sources)
        reasons = dict.fromkeys(
            f"{reason}" if is_all else f"{key}: {reason}" for key, reason in unknown.items()
        )
        return Reading(span_s, reason=" ".join(reasons), sources=sources)
    return Reading(
        span_s,
        sum(part.energy_j or 0.0 for part in sources.values()),
        worst_quality(part.quality for part in sources.values()),
        window_s=max((part.window_s or 0.0 for part in sources.values()), default=None),
        sources=sources,
    )


def worst_quality(qualities: Iterable[Quality | None]) -> Quality:
    """Return ``estimated`` as soon as one is."""
    return "estimated" if "estimated" in qualities else "measured"


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """How a GPU stands now: what advice about it can start from. None where its driver does not say."""

    name: str
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    utilisation: float | None = None  # 0-1: the share of the last second or so in which a kernel ran
    power_w: float | None = None
    power_limit_w: float | None = None
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    uuid: str | None = None
    index: int | None = None  # what CUDA calls it in the worker


@dataclass(frozen=True, slots=True)
class Intensity:
    """What one kWh of a zone's electricity emits."""

    zone: str
    g_per_kwh: float
    provider: str
    basis: str  # average or marginal, life cycle or direct: never mix two in a comparison
    year: int | None
    source: str
    kind: Basis = "average lifecycle"
    at: datetime | None = None  # from when on it is in force; None for a yearly average
    updated_at: datetime | None = None  # when the provider last changed it; None where it does not say
    is_estimated: bool | None = None  # None where the provider does not say
    renewable_share: float | None = None  # 0-1, where it comes in the same answer

    def __str__(self) -> str:
        """Say the figure and where it is from, for a person."""
        year = "" if self.year is None else f", {self.year}"
        return f"{self.zone} {self.g_per_kwh:.0f} g/kWh ({self.basis}{year}; {self.source})"

    def as_series(self) -> IntensitySeries:
        """Return it as the intensity of all times."""
        always = Interval(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), self.g_per_kwh)
        return IntensitySeries(self.zone, self.provider, self.kind, (always,))


@dataclass(frozen=True, slots=True)
class EnergyMix:
    """What a zone's electricity is made from."""

    zone: str
    provider: str
    at: datetime | None  # None for a yearly average
    shares: Mapping[str, float]  # 0-1 by source, such as wind; they sum to 1
    renewable_share: float | None  # 0-1; None where the provider does not say
    is_estimated: bool | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """The intensity from ``start`` on until before ``end``."""

    start: datetime
    end: datetime
    g_per_kwh: float


@dataclass(frozen=True, slots=True)
class IntensitySeries:
    """The intensities of a zone, oldest first, without overlaps; there may be gaps.

    Raises IntensityUnavailable for intervals that are empty, overlap or are out of order.
    """

    zone: str
    provider: str
    basis: Basis
    intervals: tuple[Interval, ...]

    def __post_init__(self) -> None:
        """Check the order."""
        for interval in self.intervals:
            if interval.start >= interval.end:
                raise IntensityUnavailable(
                    f"The interval from {interval.start:%Y-%m-%d %H:%M} on ends before it starts. "
                    "Send intervals whose end is later than their start."
                )
        for before, after in zip(self.intervals, self.intervals[1:], strict=False):
            if before.end > after.start:
                raise IntensityUnavailable(
                    f"Two intervals overlap at {after.start:%Y-%m-%d %H:%M}, or are out of order. "
                    "Send each time once, oldest first."
                )
