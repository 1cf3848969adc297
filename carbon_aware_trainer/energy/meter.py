"""What a meter is, and the counter that notices when an interval is not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from carbon_aware_trainer.records import Counters, Source

Clock = Callable[[], int]

COUNTER_ERROR = "±0.2 s of power per window: 2 % of 10 s, 0.4 % of 60 s"
ESTIMATE_ERROR = "±40 % (arXiv 2509.22092)"


class Meter(Protocol):
    """Cumulative energy counters, one per source. Unknown is said with a reason, never by 0."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is read."""

    def read(self) -> Counters:
        """Read every source; one that fails does not hide the others."""

    def close(self) -> None:
        """Give the hardware back."""


class RisingCounter:
    """Joules since the first raw value of a counter that only rises until it is reset."""

    def __init__(self, name: str, first: float, *, joules_per_unit: float) -> None:
        self.joules = 0.0
        self._name = name
        self._last: float | None = first
        self._joules_per_unit = joules_per_unit
        self._failure = ""

    def advance(self, raw: float) -> str | None:
        """Count what came since the last value; returns why that is not known, or None."""
        last, self._last = self._last, raw
        if last is None:
            return self._failure
        if raw < last:
            return f"The {self._name} was reset; what was used just before is not known."
        self.joules += (raw - last) * self._joules_per_unit
        return None

    def miss(self, failure: str) -> str:
        """Note that the counter could not be read: what is used until it can be again is not known."""
        self._last, self._failure = None, failure
        return failure
