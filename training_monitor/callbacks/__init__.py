"""Bridges from training libraries to a TrainingMonitor, each imported by its own name."""
