"""Windows of one training repeated, and joules and seconds per training over several of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from carbon_aware_trainer.records import Reading


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    is_reached: bool
    epochs: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class RepeatedWindow:
    """The trainings of one seed, back to back, and what they used together."""

    outcomes: tuple[Outcome, ...]
    reading: Reading

    @property
    def is_reached(self) -> bool:
        """True when every training reached the target."""
        return all(outcome.is_reached for outcome in self.outcomes)

    @property
    def joules(self) -> float | None:
        """Per training; None when unknown."""
        return None if self.reading.energy_j is None else self.reading.energy_j / len(self.outcomes)

    @property
    def seconds(self) -> float:
        """Per training."""
        return self.reading.span_s / len(self.outcomes)

    def __str__(self) -> str:
        """Say the figures for a person."""
        last = self.outcomes[-1]
        joules = f"unknown ({self.reading.reason})" if self.joules is None else f"{self.joules:.2f} J"
        verdict = f"{last.accuracy:.2%} after {last.epochs} epochs" + ("" if self.is_reached else ", MISSED")
        times = f"{len(self.outcomes)} trainings in {self.reading.span_s:.1f} s"
        return f"{joules}, {self.seconds:.3f} s per training ({verdict}; {times})"


def repeat(
    train: Callable[[], Outcome],
    window_s: float,
    read: Callable[[int, int], Reading],
    *,
    clock: Callable[[], int] = time.monotonic_ns,
) -> RepeatedWindow:
    """Train again and again until the window is so long, at least once; only whole trainings are in it.

    read: returns what was used between two moments of ``clock``.
    """
    start_ns = end_ns = clock()
    outcomes: list[Outcome] = []
    while not outcomes or end_ns - start_ns < window_s * 1e9:
        outcomes.append(train())
        end_ns = clock()
    return RepeatedWindow(tuple(outcomes), read(start_ns, end_ns))


def summarise(windows: Sequence[RepeatedWindow]) -> dict[str, Any]:
    """Return joules and seconds to the target over seeds.

    Null with a reason when a seed missed the target, since the mean of the others would flatter, or when the
    energy of one is not known.
    """
    missed = [seed for seed, window in enumerate(windows) if not window.is_reached]
    figures: dict[str, Any] = {
        "n": len(windows),
        "trainings": sum(len(window.outcomes) for window in windows),
        "shortest_window_s": round(min(window.reading.span_s for window in windows), 1),
        "epochs": [window.outcomes[-1].epochs for window in windows],
    }
    if missed:
        reason = f"Seeds {missed} did not reach the target."
        return {**figures, "joules": None, "seconds": None, "reason": reason}
    figures |= _spread("seconds", [window.seconds for window in windows])
    joules = [window.joules for window in windows if window.joules is not None]
    if len(joules) < len(windows):
        unknown = next(window.reading.reason for window in windows if window.joules is None)
        return {**figures, "joules": None, "reason": unknown}
    qualities = sorted({str(window.reading.quality) for window in windows})
    return {**figures, **_spread("joules", joules), "quality": " and ".join(qualities)}


def _spread(name: str, values: Sequence[float]) -> dict[str, Any]:
    return {
        name: round(statistics.mean(values), 3),
        f"{name}_stdev": round(statistics.stdev(values), 3) if len(values) > 1 else None,
        f"{name}_range": [round(min(values), 3), round(max(values), 3)],
    }
