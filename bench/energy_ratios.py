"""What observers of one load said, and the ratios of it. Unknown stays unknown, with its reason."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

# Memory is a constant of the machine in every tool that has it: it is no reading, and never compared as one.
CONSTANTS = frozenset({"ram"})


@dataclass(frozen=True, slots=True)
class Figure:
    """What one observer said about one span; without joules ``reason`` says why."""

    joules: Mapping[str, float] = field(default_factory=dict)  # by part: gpu, cpu, dram, ram
    span_s: float | None = None
    core_share: float | None = None
    reason: str | None = None

    @property
    def read_j(self) -> float:
        """All joules but constants."""
        return sum(joules for part, joules in self.joules.items() if part not in CONSTANTS)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio, or the reason why there is none."""

    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several ratios with the lowest and the highest; all None with a reason."""

    median: float | None = None
    lowest: float | None = None
    highest: float | None = None
    n: int = 0
    reason: str | None = None


def ours_over(ours: Figure, other: Figure) -> Ratio:
    """Return the ratio of the joules of the parts that both read: CPU to CPU, GPU to GPU, no constant."""
    common = (ours.joules.keys() & other.joules.keys()) - CONSTANTS
    return _divide(
        sum(ours.joules[part] for part in common), sum(other.joules[part] for part in common), ours, other
    )


def total_over_total(ours: Figure, other: Figure) -> Ratio:
    """Return the ratio of what each shows as its total: ours without memory's constant, others' with it."""
    return _divide(ours.read_j, sum(other.joules.values()), ours, other)


def scale(figure: Figure, part: str, share: float) -> Figure:
    """Return the figure with so much of one part only."""
    joules = {name: value * (share if name == part else 1.0) for name, value in figure.joules.items()}
    return replace(figure, joules=joules)


def _divide(ours_j: float, other_j: float, ours: Figure, other: Figure) -> Ratio:
    if reason := ours.reason or other.reason:
        return Ratio(reason=reason)
    if other_j <= 0:
        return Ratio(reason="The other one read 0 J of what we read.")
    return Ratio(ours_j / other_j)


def summarise(ratios: Sequence[Ratio]) -> Spread:
    """Return median and spread; one unknown ratio makes them unknown, since the rest would be a choice."""
    reasons = [ratio.reason for ratio in ratios if ratio.value is None]
    if reasons or not ratios:
        return Spread(reason=reasons[0] if reasons else "Nothing was measured.")
    values = [ratio.value for ratio in ratios if ratio.value is not None]
    return Spread(statistics.median(values), min(values), max(values), len(values))
