"""What meters and providers give: counters, readings and intensities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Quality = Literal["measured", "estimated"]

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

    def __str__(self) -> str:
        """Say the figure and where it is from, for a person."""
        year = "" if self.year is None else f", {self.year}"
        return f"{self.zone} {self.g_per_kwh:.0f} g/kWh ({self.basis}{year}; {self.source})"
