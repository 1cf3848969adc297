"""What meters and providers give: counters, readings and intensities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from carbon_aware_trainer.errors import IntensityUnavailable

Quality = Literal["measured", "estimated"]
# What a kWh is charged with: the mix or the next power plant, with or without what building it emits.
Basis = Literal["average lifecycle", "average direct", "marginal lifecycle", "marginal direct"]

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Counter:
    """The state of a meter at one moment."""

    joules: float  # used since the meter was opened; never decreases
    at_ns: int  # time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was used in a span of time. ``energy_j`` is None when that is not known; ``reason`` says why."""

    span_s: float
    energy_j: float | None = None
    quality: Quality | None = None
    reason: str | None = None
    window_s: float | None = None  # the finest time the meter and its samples resolve around this span

    @property
    def power_w(self) -> float | None:
        """The mean power over the span; None when unknown."""
        return None if self.energy_j is None else self.energy_j / self.span_s

    @property
    def window_epochs(self) -> int | None:
        """How many spans like this one share one step of the meter; None when it saw this one alone.

        With a value, ``energy_j`` is the span's share of the interpolated counter.
        """
        if self.window_s is None or self.span_s >= self.window_s:
            return None
        return math.ceil(self.window_s / self.span_s)


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

    def __str__(self) -> str:
        """Say the figure and where it is from, for a person."""
        year = "" if self.year is None else f", {self.year}"
        return f"{self.zone} {self.g_per_kwh:.0f} g/kWh ({self.basis}{year}; {self.source})"

    def as_series(self) -> IntensitySeries:
        """Return it as the intensity of all times."""
        always = Interval(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), self.g_per_kwh)
        return IntensitySeries(self.zone, self.provider, self.kind, (always,))


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
