"""What a meter is, a meter made of several, and the meter that measures nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from carbon_aware_trainer.errors import IntervalLost, MeterUnavailable
from carbon_aware_trainer.records import Counter, Quality

Clock = Callable[[], int]


class Meter(Protocol):
    """A cumulative energy counter. Unknown is an exception with a reason, never 0."""

    @property
    def source(self) -> str:
        """What is read and how, for a person."""

    @property
    def quality(self) -> Quality:
        """Measured by the hardware, or estimated."""

    @property
    def step_s(self) -> float:
        """How often the counter moves."""

    def read(self) -> Counter:
        """Read the counter.

        Raises MeterUnavailable when it cannot be read; IntervalLost, once, when it was reset meanwhile.
        """

    def close(self) -> None:
        """Give the hardware back."""


class RisingCounter:
    """Joules since the first raw value of a counter that only rises until it is reset."""

    def __init__(self, first: float, *, joules_per_unit: float) -> None:
        self._last = first
        self._joules_per_unit = joules_per_unit
        self._joules = 0.0

    def advance(self, raw: float) -> float:
        """Return the joules so far. Raises IntervalLost when the counter fell, and goes on from there."""
        delta, self._last = raw - self._last, raw
        if delta < 0:
            raise IntervalLost("The energy counter was reset; what was used just before is not known.")
        self._joules += delta * self._joules_per_unit
        return self._joules


class CompositeMeter:
    """The sum of several sources; estimated as soon as one of them is, unknown as soon as one is unknown."""

    def __init__(self, meters: Sequence[Meter], *, clock: Clock = time.monotonic_ns) -> None:
        self._meters = tuple(meters)
        self._clock = clock
        self.source = " + ".join(meter.source for meter in meters)
        self.step_s = max(meter.step_s for meter in meters)
        self.quality: Quality = (
            "estimated" if any(meter.quality == "estimated" for meter in meters) else "measured"
        )

    def read(self) -> Counter:
        """Read every source and add them up."""
        return Counter(sum(meter.read().joules for meter in self._meters), self._clock())

    def close(self) -> None:
        """Close every source."""
        for meter in self._meters:
            meter.close()


class UnavailableMeter:
    """The meter of a machine that has none: every read says why."""

    quality: Quality = "estimated"
    step_s = 0.0

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self.source = f"none: {reason}"

    def read(self) -> Counter:
        """Raise MeterUnavailable with the reason."""
        raise MeterUnavailable(self._reason)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
