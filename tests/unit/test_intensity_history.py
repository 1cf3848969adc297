"""The table of months and hours."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from carbon_aware_trainer.traces import HOUR, Trace
from scheduling.history import means_by_month_and_hour, share_below
from tests.planning import BASIS

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def trace(values: list[float], *, start: datetime = NEW_YEAR, slots_per_hour: int = 1) -> Trace:
    return Trace("DE", "cached", BASIS, start, HOUR / slots_per_hour, np.array(values))


def test_each_cell_is_the_mean_of_its_hours() -> None:
    days = [float(hour) for hour in range(24)] + [float(hour + 10) for hour in range(24)]
    table = means_by_month_and_hour(trace(days))
    assert table[0] == pytest.approx([hour + 5 for hour in range(24)])
    assert table[1:] == [[None] * 24] * 11


def test_half_hours_missing_values_and_the_turn_of_a_month_are_kept_apart() -> None:
    start = datetime(2026, 1, 31, 23, tzinfo=UTC)
    table = means_by_month_and_hour(
        trace([10, 30, np.nan, 50, np.nan, np.nan], start=start, slots_per_hour=2)
    )
    assert (table[0][23], table[1][0], table[1][1]) == (20, 50, None)


def test_the_share_below_counts_known_values() -> None:
    assert share_below(trace([1, 2, 3, np.nan]), 3) == pytest.approx(2 / 3)
    assert share_below(trace([np.nan]), 3) is None
