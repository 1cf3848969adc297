"""Energy meters, carbon intensities and the accounting between them; usable without the rest of Wattle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbon_aware_trainer.accounting import co2_g, energy_kwh
from carbon_aware_trainer.errors import (
    CarbonError,
    IntensityUnavailable,
    MeterUnavailable,
    UnknownZone,
)
from carbon_aware_trainer.later import find_later
from carbon_aware_trainer.records import Counter, Counters, Intensity, Reading, Source, SourceReading

if TYPE_CHECKING:
    from carbon_aware_trainer.core.monitor import CarbonMonitor
    from carbon_aware_trainer.providers.choose import open_provider

_LATER = {
    "CarbonMonitor": "carbon_aware_trainer.core.monitor",
    "open_provider": "carbon_aware_trainer.providers.choose",
}

__all__ = [
    "CarbonError",
    "CarbonMonitor",
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
    "open_provider",
]


def __getattr__(name: str) -> object:
    """Read the module of a name that not everybody needs."""
    return find_later(__name__, _LATER, name)
