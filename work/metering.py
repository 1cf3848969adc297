"""What an epoch cost: the meter's reading of its span, times the grid's intensity."""

from __future__ import annotations

from carbon_aware_trainer.accounting import co2_g, energy_kwh
from carbon_aware_trainer.energy import PowerSampler
from carbon_aware_trainer.records import Intensity, Reading
from schema import Cost, EpochResult, Scalar
from work.messages import Described, EpochEnded

# Facts that are the seconds of a span which had ended when they were told: its energy is a fact as well.
_SPANS = {"compile_s": "compile_energy_kwh"}


def add_cost(epoch: EpochEnded, sampler: PowerSampler, intensity: Intensity, *, attempt: int) -> EpochResult:
    """Return the epoch's result with its energy and CO₂; unknown energy is None with the reason.

    The energy of a simulated epoch is the trainer's own: what simulating it took is nobody's question.
    """
    if epoch.result.energy_quality == "simulated":
        return add_simulated_cost(epoch.result, intensity).model_copy(update={"attempt": attempt})
    if epoch.span_ns is None:
        reason = "The attempt that trained it ended before it was recorded."
        return epoch.result.model_copy(update={"attempt": attempt, "energy_reason": reason})
    reading = sampler.reading(*epoch.span_ns)
    cost = _to_cost(reading, intensity)
    if cost.energy_kwh is None:
        return epoch.result.model_copy(update={"attempt": attempt, "energy_reason": cost.energy_reason})
    update = {
        "attempt": attempt,
        "energy_window_epochs": reading.window_epochs,
        "intensity_g_per_kwh": intensity.g_per_kwh,
        **cost.model_dump(),
    }
    return epoch.result.model_copy(update=update)


def measure_cost(start_ns: int, end_ns: int, sampler: PowerSampler, intensity: Intensity) -> Cost:
    """Return what a span outside the recorded epochs took; unknown energy has a reason."""
    return _to_cost(sampler.reading(start_ns, end_ns), intensity)


def measure_facts(described: Described, sampler: PowerSampler) -> dict[str, Scalar]:
    """Return the facts, and beside those that are the seconds of a span its energy; None is unknown."""
    facts = dict(described.facts)
    for seconds, energy in _SPANS.items():
        if isinstance(span_s := facts.get(seconds), int | float):
            reading = sampler.reading(described.at_ns - round(span_s * 1e9), described.at_ns)
            facts[energy] = None if reading.energy_j is None else energy_kwh(reading.energy_j)
    return facts


def _to_cost(reading: Reading, intensity: Intensity) -> Cost:
    if reading.energy_j is None:
        return Cost(energy_reason=reading.reason)
    kwh = energy_kwh(reading.energy_j)
    return Cost(energy_kwh=kwh, energy_quality=reading.quality, co2_g=co2_g(kwh, intensity))


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
