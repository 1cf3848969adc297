"""Energy meters, carbon intensities and the accounting between them; usable without the rest of Wattle."""

from carbon_aware_trainer.accounting import co2_g, energy_kwh
from carbon_aware_trainer.errors import (
    CarbonError,
    IntensityUnavailable,
    IntervalLost,
    MeterUnavailable,
    UnknownZone,
)
from carbon_aware_trainer.records import Counter, Intensity, Reading

__all__ = [
    "CarbonError",
    "Counter",
    "Intensity",
    "IntensityUnavailable",
    "IntervalLost",
    "MeterUnavailable",
    "Reading",
    "UnknownZone",
    "co2_g",
    "energy_kwh",
]
