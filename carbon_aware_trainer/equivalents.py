"""A mass of CO2 as things people know, each with the figure and who publishes it."""

from __future__ import annotations

from dataclasses import dataclass

_EPA = "US EPA, Greenhouse Gas Equivalencies Calculator, Calculations and References, 2024"
_KM_PER_MILE = 1.609344


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that emits a published mass of CO2."""

    name: str
    unit: str
    g_per_unit: float
    source: str


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A mass of CO2 in the unit of a measure."""

    name: str
    amount: float
    unit: str
    source: str


CAR = Measure(
    "by car", "km", 393 / _KM_PER_MILE, f"{_EPA}: 3.93e-4 t CO2e per mile of the average US petrol car"
)
PHONE = Measure(
    "smartphones charged", "charges", 12.4, f"{_EPA}: 1.24e-5 t CO2 per charge, US average electricity"
)


def equivalents_of(co2_g: float | None) -> tuple[Equivalent, ...]:
    """Return what ``co2_g`` is equivalent to; nothing when it is unknown."""
    if co2_g is None:
        return ()
    return tuple(
        Equivalent(measure.name, co2_g / measure.g_per_unit, measure.unit, measure.source)
        for measure in (CAR, PHONE)
    )
