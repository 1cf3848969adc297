"""Columns of numbers for a table."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def scaled(values: Iterable[float | None], factor: float) -> pd.Series[float]:
    """Scale to the column's unit; unknown stays missing, also when all are."""
    return pd.Series([None if value is None else value * factor for value in values], dtype="float64")
