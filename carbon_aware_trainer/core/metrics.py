"""What a training cost so far, for its user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from carbon_aware_trainer.core.account import Totals
from carbon_aware_trainer.errors import BasesMixed
from carbon_aware_trainer.records import Basis, Quality, worst_quality

_G_PER_KG = 1000.0
_COUNTS = ("paused_duration", "running_duration", "pauses", "steps")
_TOTALS = ("total_carbon_kg", "total_energy_kwh")
_COMPARED = ("carbon_saved_kg", "run_now_carbon_kg")
# What each total leaves out.
_LEFT_OUT = {"total_carbon_kg": "unknown_carbon_duration", "total_energy_kwh": "unknown_energy_duration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CarbonMetrics:
    """Totals up to now; also readable as a mapping. None is unknown, and ``reason`` says why.

    Totals are of what is known; unknown_energy_duration and unknown_carbon_duration say for how long that is
    not so. carbon_saved_kg: realised, against running without any pause; below 0 when waiting made it worse;
    None as soon as a part is unknown. Durations: seconds. Intensities: g/kWh. energy_quality: measured or
    estimated.
    """

    total_carbon_kg: float | None
    total_energy_kwh: float | None
    carbon_saved_kg: float | None
    run_now_carbon_kg: float | None
    paused_duration: float
    running_duration: float
    unknown_energy_duration: float
    unknown_carbon_duration: float
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
        sums: dict[str, Any] = {name: self[name] + earlier[name] for name in _COUNTS}
        sums |= {name: _sum(self[name], earlier[name]) for name in _TOTALS}
        sums |= {name: _both(self[name], earlier[name]) for name in _COMPARED}
        sums |= {left: self[left] + _left_out(earlier, name) for name, left in _LEFT_OUT.items()}
        qualities = (self.energy_quality, earlier["energy_quality"])
        known = [quality for quality in qualities if quality is not None]
        return replace(
            self,
            **sums,
            average_intensity=_mean(self, earlier),
            energy_quality=worst_quality(known) if known else None,
            reason=self.reason or earlier["reason"],
        )

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
        "unknown_energy_duration": totals.unknown_energy.total_seconds(),
        "unknown_carbon_duration": totals.unknown_co2.total_seconds(),
        "average_intensity": totals.g_per_kwh,
        "energy_quality": totals.quality,
        "reason": totals.reason,
    }


def _sum(now: float | None, earlier: float | None) -> float | None:
    return None if now is None and earlier is None else (now or 0.0) + (earlier or 0.0)


def _both(now: float | None, earlier: float | None) -> float | None:
    return None if now is None or earlier is None else now + earlier


def _left_out(earlier: Mapping[str, Any], total: str) -> float:
    """Return the seconds that are in no total; sums of before they were counted are known, or not at all."""
    unknown_s = earlier.get(_LEFT_OUT[total])
    if unknown_s is None:
        unknown_s = 0.0 if earlier[total] is not None else _length(earlier)
    return float(unknown_s)


def _length(earlier: Mapping[str, Any]) -> float:
    return float(earlier["running_duration"] + earlier["paused_duration"])


def _mean(now: CarbonMetrics, earlier: Mapping[str, Any]) -> float | None:
    """Return the mean of two means, weighted by the energy that each is of."""
    parts = [(part["total_carbon_kg"], part["average_intensity"]) for part in (now, earlier)]
    known = [(kg, mean) for kg, mean in parts if kg is not None and mean]
    kwh = sum(kg * _G_PER_KG / mean for kg, mean in known)
    return sum(kg for kg, _ in known) * _G_PER_KG / kwh if kwh else None


def _kg(grams: float | None) -> float | None:
    return None if grams is None else grams / _G_PER_KG
