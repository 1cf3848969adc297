"""Logs any training to Wattle: ``TrainingMonitor(experiment_name=…).log_metrics({"loss": loss}, step)``."""

from __future__ import annotations

from training_monitor.comparison import Comparison, MetricSummary
from training_monitor.decorator import monitored
from training_monitor.errors import KeyNeeded, MonitorError, ServerAway, ServerRefused
from training_monitor.monitor import TrainingMonitor

__all__ = [
    "Comparison",
    "KeyNeeded",
    "MetricSummary",
    "MonitorError",
    "ServerAway",
    "ServerRefused",
    "TrainingMonitor",
    "monitored",
]
