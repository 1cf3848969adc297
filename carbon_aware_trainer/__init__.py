"""Energy meters, carbon intensities and the accounting between them; usable without the rest of Wattle."""

from carbon_aware_trainer.accounting import co2_g, energy_kwh
from carbon_aware_trainer.errors import (
    CarbonError,
    IntensityUnavailable,
    MeterUnavailable,
    UnknownZone,
)
from carbon_aware_trainer.records import Counter, Counters, Intensity, Reading, Source, SourceReading

__all__ = [
    "CarbonError",
    "Counter",
    "Counters",
    "Intensity",
    "IntensityUnavailable",
    "MeterUnavailable",
    "Reading",
    "Source",
    "SourceReading",
    "UnknownZone",
    "co2_g",
    "energy_kwh",
]
