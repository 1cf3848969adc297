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
    from carbon_aware_trainer.core.config import TrainingConfig
    from carbon_aware_trainer.core.decisions import DecisionLog
    from carbon_aware_trainer.core.forecaster import CarbonForecaster, ParallelCarbonForecaster
    from carbon_aware_trainer.core.metrics import CarbonMetrics
    from carbon_aware_trainer.core.monitor import CarbonMonitor
    from carbon_aware_trainer.core.orchestrator import MultiRegionOrchestrator
    from carbon_aware_trainer.core.schedulers import AdaptiveScheduler, ThresholdScheduler
    from carbon_aware_trainer.core.trainer import CarbonAwareTrainer
    from carbon_aware_trainer.monitoring.collector import MetricsCollector
    from carbon_aware_trainer.monitoring.report import write_report
    from carbon_aware_trainer.providers.choose import open_provider
    from carbon_aware_trainer.providers.sample import write_sample

_LATER = {
    "AdaptiveScheduler": f"{__name__}.core.schedulers",
    "CarbonAwareTrainer": f"{__name__}.core.trainer",
    "CarbonForecaster": f"{__name__}.core.forecaster",
    "CarbonMetrics": f"{__name__}.core.metrics",
    "CarbonMonitor": f"{__name__}.core.monitor",
    "DecisionLog": f"{__name__}.core.decisions",
    "MetricsCollector": f"{__name__}.monitoring.collector",
    "MultiRegionOrchestrator": f"{__name__}.core.orchestrator",
    "ParallelCarbonForecaster": f"{__name__}.core.forecaster",
    "ThresholdScheduler": f"{__name__}.core.schedulers",
    "TrainingConfig": f"{__name__}.core.config",
    "open_provider": f"{__name__}.providers.choose",
    "write_report": f"{__name__}.monitoring.report",
    "write_sample": f"{__name__}.providers.sample",
}

__all__ = [
    "AdaptiveScheduler",
    "CarbonAwareTrainer",
    "CarbonError",
    "CarbonForecaster",
    "CarbonMetrics",
    "CarbonMonitor",
    "Counter",
    "Counters",
    "DecisionLog",
    "Intensity",
    "IntensityUnavailable",
    "MeterUnavailable",
    "MetricsCollector",
    "MultiRegionOrchestrator",
    "ParallelCarbonForecaster",
    "Reading",
    "Source",
    "SourceReading",
    "ThresholdScheduler",
    "TrainingConfig",
    "UnknownZone",
    "co2_g",
    "energy_kwh",
    "open_provider",
    "write_report",
    "write_sample",
]


def __getattr__(name: str) -> object:
    """Read the module of a name that not everybody needs."""
    return find_later(__name__, _LATER, name)
