"""A grid, a clock and a meter for tests of what waits: time passes only when somebody lets it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from carbon_aware_trainer.records import JOULES_PER_KWH, Reading

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    """Stands still until somebody waits or ``pass_by`` is called."""

    def __init__(self, at: datetime = START) -> None:
        self.at, self.waits = at, list[float]()

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return round((self.at - START) / timedelta(microseconds=1)) * 1000

    def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.pass_by(wait_s)

    async def asleep(self, wait_s: float) -> None:
        self.sleep(wait_s)

    def wake(self) -> None:
        """Nobody sleeps really."""

    def pass_by(self, wait_s: float) -> None:
        self.at += timedelta(seconds=wait_s)


class SteadyGauge:
    """1 kWh an hour, unless the energy is unknown."""

    def __init__(self, kw: float = 1.0, reason: str | None = None) -> None:
        self.kw, self.reason, self.is_on = kw, reason, False

    def start(self) -> None:
        self.is_on = True

    def stop(self) -> None:
        self.is_on = False

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        span_s = (end_ns - start_ns) / 1e9
        if self.reason is not None:
            return Reading(span_s, reason=self.reason)
        return Reading(span_s, self.kw * span_s / 3600 * JOULES_PER_KWH, "measured")


class Weight:
    """A model of one number without any library: what it is told to be wrong by becomes smaller."""

    def __init__(self) -> None:
        self.value, self.steps = 4.0, 0

    def __call__(self, inputs: float) -> Loss:
        return Loss.of(self, self.value * inputs)

    def step(self) -> None:
        self.value -= 0.1
        self.steps += 1

    def zero_grad(self) -> None:
        """Keep nothing."""


class Loss(float):
    """A number that can be sent back."""

    weight: Weight

    @classmethod
    def of(cls, weight: Weight, value: float) -> Loss:
        loss = cls(value)
        loss.weight = weight
        return loss

    def backward(self) -> None:
        """Keep nothing."""


def distance(output: Loss, target: float) -> Loss:
    return Loss.of(output.weight, float(output) - target)


def write_grid(
    path: Path, hours: Sequence[float | None], *, zone: str = "US-CA", start: datetime = START
) -> str:
    """Write a value for each hour from ``start`` on; None is a value that is missing."""
    known: list[dict[str, Any]] = [
        {"timestamp": (start + i * HOUR).isoformat(), "carbon_intensity": value}
        for i, value in enumerate(hours)
        if value is not None
    ]
    path.write_text(json.dumps({"regions": {zone: {"historical": known, "forecast": []}}}))
    return str(path)
