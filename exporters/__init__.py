"""Runs that have ended, handed to others: MLflow, W&B, a file, and what other packages bring along."""

from exporters.protocol import Exporter, ExportRefused
from exporters.registry import list_broken, list_known, open_exporter
from exporters.rounds import ExportRounds

__all__ = ["ExportRefused", "ExportRounds", "Exporter", "list_broken", "list_known", "open_exporter"]
