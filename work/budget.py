"""What a run may use: its budgets of energy, CO₂ and time, over all attempts."""

from __future__ import annotations

from typing import NamedTuple

from schema import EpochResult, ExtraCost, Run


class _Limit(NamedTuple):
    """A hyper_param that bounds a run, and what an epoch takes of it."""

    hyper_param: str
    unit: str


_ENERGY, _CO2, _DURATION = (
    _Limit("max_energy_wh", "Wh"),
    _Limit("max_co2_g", "g CO2"),
    _Limit("max_duration_s", "s"),
)


class Budget:
    """Says when a run has to end: before an epoch that exceeds a limit if it costs what the last one did.

    An unknown amount counts as nothing: a run whose meter fails is not ended for it.
    """

    def __init__(self, run: Run) -> None:
        self._limits = {
            limit: float(value)
            for limit in (_ENERGY, _CO2, _DURATION)
            if isinstance(value := run.hyper_params.get(limit.hyper_param), int | float)
        }
        if (carbon := run.options.carbon) and carbon.max_co2_g is not None:
            self._limits[_CO2] = min(carbon.max_co2_g, self._limits.get(_CO2, carbon.max_co2_g))
        self._used = _amounts(run.energy_kwh, run.co2_g, run.duration_s)

    def note(self, cost: ExtraCost) -> None:
        """Count what was used besides the epochs."""
        more = _amounts(cost.energy_kwh, cost.co2_g, cost.duration_s)
        self._used = {limit: used + more[limit] for limit, used in self._used.items()}

    def spend(self, result: EpochResult) -> str | None:
        """Count an epoch; returns why the run has to end after it, or None."""
        here_s, whole = result.duration_s, 1.0
        if result.resumed_after_s:
            # Only its later part was used here; a whole one takes in proportion.
            here_s = max(result.duration_s - result.resumed_after_s, 1e-9)
            whole = result.duration_s / here_s
        here = _amounts(result.energy_kwh, result.co2_g, here_s)
        self._used = {limit: used + here[limit] for limit, used in self._used.items()}
        for limit, most in self._limits.items():
            if self._used[limit] + whole * here[limit] > most:
                return (
                    f"Budget: {self._used[limit]:.4g} {limit.unit} used after epoch {result.epoch}; one more "
                    f"like it would exceed {limit.hyper_param} {most:g}."
                )
        return None


def _amounts(energy_kwh: float | None, co2_g: float | None, duration_s: float | None) -> dict[_Limit, float]:
    return {_ENERGY: 1000 * (energy_kwh or 0), _CO2: co2_g or 0, _DURATION: duration_s or 0}
