"""What an epoch cost: the meter's reading of its span, times the grid's intensity."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from carbon_aware_trainer.accounting import co2_g, energy_kwh
from carbon_aware_trainer.records import Intensity, Reading
from schema import EpochResult, ExtraCost, SpanEnergy
from work.messages import EpochEnded, Spent


class SpanMeter(Protocol):
    """What can tell the energy between two moments of ``time.monotonic_ns()``."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        """Return what was used; unknown energy is None with the reason."""


def add_cost(
    epoch: EpochEnded, meter: SpanMeter, intensity: Intensity, *, attempt: int, pue: float = 1.0
) -> EpochResult:
    """Return the epoch's result with its energy and CO₂; unknown energy is None with the reason.

    pue: multiplies the total and its CO₂, never the sources.

    The energy of a simulated epoch is the trainer's own: what simulating it took is nobody's question.
    """
    if epoch.result.energy_quality == "simulated":
        return add_simulated_cost(epoch.result, intensity).model_copy(update={"attempt": attempt})
    if epoch.span_ns is None:
        reason = "The attempt that trained it ended before it was recorded."
        return epoch.result.model_copy(update={"attempt": attempt, "energy_reason": reason})
    reading = meter.reading(*epoch.span_ns)
    known = {
        "attempt": attempt,
        "ended_at": _wall_time(epoch.span_ns[1]),
        "energy_by_source": {key: energy_kwh(joules) for key, joules in reading.by_source_j.items()} or None,
    }
    if reading.energy_j is None:
        return epoch.result.model_copy(update=known | {"energy_reason": reading.reason})
    kwh = energy_kwh(reading.energy_j) * pue
    cost = known | {
        "energy_kwh": kwh,
        "energy_quality": reading.quality,
        "energy_window_epochs": reading.window_epochs,
        "co2_g": co2_g(kwh, intensity),
        "intensity_g_per_kwh": intensity.g_per_kwh,
    }
    return epoch.result.model_copy(update=cost)


def _wall_time(at_ns: int) -> datetime:
    """Return the time of a moment of ``time.monotonic_ns()`` in the near past, by this host's clock."""
    return datetime.now(UTC) - timedelta(microseconds=(time.monotonic_ns() - at_ns) / 1e3)


def read_span(span_ns: tuple[int, int], meter: SpanMeter) -> SpanEnergy:
    """Return what was used in a span that is no epoch."""
    reading = meter.reading(*span_ns)
    return SpanEnergy(reading.energy_j, reading.quality, reading.reason)


def cost_of(
    spent: Spent, meter: SpanMeter, intensity: Intensity, *, attempt: int, pue: float = 1.0
) -> ExtraCost:
    """Return what a span that is no epoch cost, ``pue`` times its energy; unknown energy has a reason."""
    start_ns, end_ns = spent.span_ns
    span_s = (end_ns - start_ns) / 1e9
    reading = meter.reading(start_ns, end_ns)
    kwh = None if reading.energy_j is None else energy_kwh(reading.energy_j) * pue
    return ExtraCost(
        name=spent.name,
        attempt=attempt,
        ended_at=_wall_time(end_ns),
        span_s=span_s,
        duration_s=span_s,
        energy_kwh=kwh,
        energy_quality=None if kwh is None else reading.quality,
        energy_reason=reading.reason,
        co2_g=None if kwh is None else co2_g(kwh, intensity),
        intensity_g_per_kwh=None if kwh is None else intensity.g_per_kwh,
    )


def add_simulated_cost(result: EpochResult, intensity: Intensity) -> EpochResult:
    """Return a simulated epoch's result with the CO₂ that goes with its energy."""
    cost = {
        "co2_g": None if result.energy_kwh is None else co2_g(result.energy_kwh, intensity),
        "intensity_g_per_kwh": intensity.g_per_kwh,
    }
    return result.model_copy(update=cost)


def describe_epoch(result: EpochResult, num_epochs: int) -> str:
    """Return the log line of an epoch."""
    energy = f"energy unknown ({result.energy_reason})"
    if result.energy_kwh is not None:
        mark = {"estimated": "~", "simulated": "simulated "}.get(result.energy_quality or "", "")
        energy = f"{mark}{1000 * result.energy_kwh:.4g} Wh {mark}{result.co2_g:.4g} g CO2"
    train = f"train loss {result.train_loss:.4f} accuracy {result.train_accuracy:.2%}"
    test = f"test loss {result.test_loss:.4f} accuracy {result.test_accuracy:.2%}"
    return f"epoch {result.epoch}/{num_epochs}  {train}  {test}  {result.duration_s:.2f} s  {energy}"
