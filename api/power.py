"""The power of a run over time, as its worker's sampler logged it."""

from __future__ import annotations

from collections.abc import Sequence

from api.state import db
from carbon_aware_trainer.accounting import PowerSample
from schema import PowerPoint


def list_points(run_id: str) -> Sequence[PowerPoint]:
    """Return the power of each source, oldest first; empty when none was logged."""
    return db().power.list(run_id)


def list_power(run_id: str) -> list[PowerSample]:
    """Return the power of all sources together, oldest first; empty when none was logged."""
    return [PowerSample(point.at, sum(point.power_w.values())) for point in list_points(run_id)]
