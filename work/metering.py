"""What an epoch cost: the meter's reading of its span, times the grid's intensity."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from carbon_aware_trainer.accounting import co2_g, energy_kwh
from carbon_aware_trainer.records import Intensity, Reading
from schema import EpochResult, ExtraCost, SpanEnergy
from work.messages import EpochEnded, Spent


class Charging(Protocol):
    """What can tell what the energy of a span is charged with."""

    def over(self, start: datetime, end: datetime) -> Intensity:
        """Return the mean intensity of a span."""

    def provider_of(self, intensity: Intensity) -> str | None:
        """Return whose figure it is where that is not the run's own provider."""


class SpanMeter(Protocol):
    """What can tell the energy between two moments of ``time.monotonic_ns()``."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        """Return what was used; unknown energy is None with the reason."""


def add_cost(
    epoch: EpochEnded, meter: SpanMeter, charges: Charging, *, attempt: int, pue: float = 1.0
) -> EpochResult:
    """Return the epoch's result with its energy and CO₂; unknown energy is None with the reason.

    pue: multiplies the total and its CO₂, never the sources.

    The energy of a simulated epoch is the trainer's own: what simulating it took is nobody's question.
    """
    if epoch.result.energy_quality == "simulated":
        return _add_simulated_cost(epoch, charges).model_copy(update={"attempt": attempt})
    if epoch.span_ns is None:
        reason = "The attempt that trained it ended before it was recorded."
        return epoch.result.model_copy(update={"attempt": attempt, "energy_reason": reason})
    reading = meter.reading(*epoch.span_ns)
    ended_at = _wall_time(epoch.span_ns[1])
    known = {
        "attempt": attempt,
        "ended_at": ended_at,
        "energy_by_source": {key: energy_kwh(joules) for key, joules in reading.by_source_j.items()} or None,
    }
    if reading.energy_j is None:
        return epoch.result.model_copy(update=known | {"energy_reason": reading.reason})
    kwh = energy_kwh(reading.energy_j) * pue
    cost = known | {
        "energy_kwh": kwh,
        "energy_quality": reading.quality,
        "energy_window_epochs": reading.window_epochs,
    }
    length_s = epoch.result.duration_s - (epoch.result.resumed_after_s or 0.0)
    start = ended_at - timedelta(seconds=length_s)
    return epoch.result.model_copy(update=cost | _charged(kwh, charges, start, ended_at))


def _charged(kwh: float, charges: Charging, start: datetime, end: datetime) -> dict[str, Any]:
    """Return the CO₂ of energy that was used in a span, and whose figure it was charged with."""
    intensity = charges.over(start, end)
    return {
        "co2_g": co2_g(kwh, intensity),
        "intensity_g_per_kwh": intensity.g_per_kwh,
        "intensity_provider": charges.provider_of(intensity),
    }


def _wall_time(at_ns: int) -> datetime:
    """Return the time of a moment of ``time.monotonic_ns()`` in the near past, by this host's clock.

    To the second, as it is stored: who charges the span again later finds the same intensities.
    """
    at = datetime.now(UTC) - timedelta(microseconds=(time.monotonic_ns() - at_ns) / 1e3)
    return datetime.fromtimestamp(round(at.timestamp()), UTC)


def read_span(span_ns: tuple[int, int], meter: SpanMeter) -> SpanEnergy:
    """Return what was used in a span that is no epoch."""
    reading = meter.reading(*span_ns)
    return SpanEnergy(reading.energy_j, reading.quality, reading.reason)


def cost_of(
    spent: Spent,
    meter: SpanMeter,
    charges: Charging,
    *,
    attempt: int,
    pue: float = 1.0,
    started_at: datetime | None = None,
) -> ExtraCost:
    """Return what a span that is no epoch cost, ``pue`` times its energy; unknown energy has a reason.

    started_at: from when on it is charged; without it, from its beginning by this host's clock.
    """
    start_ns, end_ns = spent.span_ns
    span_s = (end_ns - start_ns) / 1e9
    reading = meter.reading(start_ns, end_ns)
    kwh = None if reading.energy_j is None else energy_kwh(reading.energy_j) * pue
    ended_at = _wall_time(end_ns)
    start = ended_at - timedelta(seconds=span_s) if started_at is None else started_at
    return ExtraCost(
        name=spent.name,
        attempt=attempt,
        ended_at=ended_at,
        span_s=span_s,
        duration_s=span_s,
        energy_kwh=kwh,
        energy_quality=None if kwh is None else reading.quality,
        energy_reason=reading.reason,
        **({} if kwh is None else _charged(kwh, charges, start, ended_at)),
    )


def _add_simulated_cost(epoch: EpochEnded, charges: Charging) -> EpochResult:
    """Charge invented energy as if it had been used in the time that simulating it took."""
    span_ns = epoch.span_ns
    end = _wall_time(span_ns[1] if span_ns else time.monotonic_ns())
    kwh, start = epoch.result.energy_kwh, end - timedelta(seconds=epoch.result.duration_s)
    charged = {} if kwh is None else _charged(kwh, charges, start, end)
    return epoch.result.model_copy(update={"ended_at": end, **charged})


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
