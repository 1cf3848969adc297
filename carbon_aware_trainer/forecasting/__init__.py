"""Forecasts of carbon intensity from a zone's own history."""

from carbon_aware_trainer.forecasting.forecaster import Fitted, fit

__all__ = ["Fitted", "fit"]
