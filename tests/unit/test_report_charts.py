"""Curves and numbers of a report: whatever a script reports, it is drawn, and its text has some length."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from api.report.charts import draw
from api.report.parts import Chart, Line, number


def labels(values: Sequence[float]) -> list[str]:
    """Draw two points and return what stands beside the grid lines."""
    drawn = draw(Chart("loss", "step", [Line("", [0.0, 1.0], values)]))
    assert "nan" not in drawn
    assert "inf" not in drawn
    return re.findall(r'text-anchor="end" fill="currentColor" fill-opacity=".75">([^<]+)<', drawn)


@pytest.mark.parametrize(
    "values",
    [
        (-1.7e308, 1.7e308),
        (1.6e308, 1.7e308),
        (-1.7e308, 0.0),
        (0.0, 5e-324),
        (0.0, 2e-323),
        (2e-323, 2e-323),
    ],
)
def test_values_at_the_ends_of_what_a_float_can_be_are_drawn(values: Sequence[float]) -> None:
    assert len(set(labels(values))) > 2


def test_small_values_have_labels_of_their_own() -> None:
    assert labels((1e-14, 3e-14)) == ["1e-14", "1.5e-14", "2e-14", "2.5e-14", "3e-14"]
    assert labels((0.0, 1.2)) == ["0", "0.5", "1", "1.5"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (1234567.8, "1,234,568"), (-1.7e308, "-1.7e+308"), (None, "–")],
)
def test_a_number_is_as_long_as_somebody_reads(value: float | None, text: str) -> None:
    assert number(value) == text
