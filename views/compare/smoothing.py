"""Curves without their noise: exponential and moving means, which leave gaps as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["none", "exponential", "moving"]


@dataclass(frozen=True)
class Smoothing:
    """How values are smoothed."""

    kind: Kind = "none"
    weight: float = 0.0
    """Exponential: of all that came before, from 0 to below 1."""
    window: int = 1
    """Moving: of so many values, the point's own the last of them."""

    @property
    def is_on(self) -> bool:
        """Whether it changes anything."""
        return (self.kind == "exponential" and self.weight > 0) or (self.kind == "moving" and self.window > 1)

    @property
    def sentence(self) -> str:
        """What was done, for a reader; empty for nothing."""
        if not self.is_on:
            return ""
        if self.kind == "exponential":
            return (
                f"Exponential moving mean of weight {self.weight:g}, bias-corrected, over the points shown."
            )
        return f"Mean of the last {self.window} points shown; of fewer at the beginning."


def smooth(values: Sequence[float | None], how: Smoothing) -> list[float | None]:
    """Return values, in their order, smoothed; None is a gap, which stays one and counts for nothing."""
    if not how.is_on:
        return list(values)
    return _exponential(values, how.weight) if how.kind == "exponential" else _moving(values, how.window)


def _exponential(values: Sequence[float | None], weight: float) -> list[float | None]:
    """Return exponential means without the bias towards the zero that they begin with.

    Source: Kingma and Ba 2015, "Adam", section 3: division by 1 - weight^n after n values.
    """
    found: list[float | None] = []
    mean, bias = 0.0, 1.0
    for value in values:
        if value is None:
            found.append(None)
            continue
        mean = weight * mean + (1 - weight) * value
        bias *= weight
        found.append(mean / (1 - bias))
    return found


def _moving(values: Sequence[float | None], window: int) -> list[float | None]:
    found: list[float | None] = []
    last: deque[float] = deque(maxlen=window)
    for value in values:
        if value is not None:
            last.append(value)
        # Added up anew each time: a running sum would keep the rounding of all that left it.
        found.append(None if value is None else sum(last) / len(last))
    return found
