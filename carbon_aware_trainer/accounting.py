"""From joules to kWh and grams of CO2."""

from __future__ import annotations

from carbon_aware_trainer.records import JOULES_PER_KWH, Intensity


def energy_kwh(joules: float) -> float:
    """Convert joules to kWh."""
    return joules / JOULES_PER_KWH


def co2_g(energy_kwh: float, intensity: Intensity) -> float:
    """Return the grams of CO2 equivalent that ``energy_kwh`` caused: energy times the intensity in force."""
    return energy_kwh * intensity.g_per_kwh
