"""What a training cost so far, for its user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from carbon_aware_trainer.core.account import Totals
from carbon_aware_trainer.errors import BasesMixed
from carbon_aware_trainer.records import Basis, Quality, worst_quality

_G_PER_KG = 1000.0
_SUMS = (
    "total_carbon_kg", "total_energy_kwh", "carbon_saved_kg", "run_now_carbon_kg",
    "paused_duration", "running_duration", "pauses", "steps",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonMetrics:
    """Totals up to now; also readable as a mapping. None is unknown, and ``reason`` says why.

    carbon_saved_kg: realised, against running without any pause; below 0 when waiting made it worse.
    paused_duration, running_duration: seconds. Intensities: g/kWh. energy_quality: measured or estimated.
    """

    total_carbon_kg: float | None
    total_energy_kwh: float | None
    carbon_saved_kg: float | None
    run_now_carbon_kg: float | None
    paused_duration: float
    running_duration: float
    current_intensity: float | None
    average_intensity: float | None
    pauses: int
    steps: int
    state: str
    region: str
    provider: str
    basis: Basis
    energy_quality: Quality | None
    reason: str | None

    def plus(self, earlier: Mapping[str, Any] | None) -> CarbonMetrics:
        """Return these and the totals of an earlier part of the same training, as its ``as_dict`` has them.

        Raises BasesMixed when that was charged on another basis.
        """
        if earlier is None:
            return self
        if earlier["basis"] != self.basis:
            raise BasesMixed(
                f"The training so far was charged as {earlier['basis']}, now it is {self.basis}. "
                "Ask the same provider as before, or start new sums."
            )
        sums: dict[str, Any] = {name: _sum(self[name], earlier[name]) for name in _SUMS}
        co2, kwh = sums["total_carbon_kg"], sums["total_energy_kwh"]
        mean = None if co2 is None or not kwh else co2 * _G_PER_KG / kwh
        qualities = (self.energy_quality, earlier["energy_quality"])
        quality = worst_quality(qualities) if None not in qualities else None
        reason = self.reason or earlier["reason"]
        return replace(self, **sums, average_intensity=mean, energy_quality=quality, reason=reason)

    def as_dict(self) -> dict[str, Any]:
        """Return them by name."""
        return asdict(self)

    def keys(self) -> Iterator[str]:
        """Return the names."""
        return iter([field.name for field in fields(self)])

    def __getitem__(self, name: str) -> Any:
        """Return one by its name. Raises KeyError."""
        if name not in self.__slots__:
            raise KeyError(name)
        return getattr(self, name)


def amounts_of(totals: Totals) -> dict[str, Any]:
    """Return totals in the units and names of CarbonMetrics."""
    return {
        "total_carbon_kg": _kg(totals.co2_g),
        "total_energy_kwh": totals.energy_kwh,
        "carbon_saved_kg": _kg(totals.saved_g),
        "run_now_carbon_kg": _kg(totals.run_now_co2_g),
        "paused_duration": totals.paused.total_seconds(),
        "running_duration": totals.running.total_seconds(),
        "average_intensity": totals.g_per_kwh,
        "energy_quality": totals.quality,
        "reason": totals.reason,
    }


def _sum(now: float | None, earlier: float | None) -> float | None:
    return None if now is None or earlier is None else now + earlier


def _kg(grams: float | None) -> float | None:
    return None if grams is None else grams / _G_PER_KG
