"""What a run had used by a point of another metric, against plain sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.costs import by_step, by_time, of_every_epoch
from store.metric_arrays import POINT, Points

COSTS = st.lists(st.none() | st.floats(0, 1e3), min_size=1, max_size=12)


def points(steps: list[int], values: list[float] | None = None, times: list[float] | None = None) -> Points:
    found = np.zeros(len(steps), POINT)
    found["step"] = steps
    found["value"] = values if values is not None else 1.0
    found["time"] = times if times is not None else steps
    return found


def known(sums: Any) -> list[float | None]:
    return [None if math.isnan(value) else float(value) for value in sums]


@given(COSTS, st.lists(st.integers(1, 12), max_size=12))
def test_an_epoch_has_the_sum_of_all_before_it_as_long_as_each_is_known(
    costs: list[float | None], asked: list[int]
) -> None:
    every = points(list(range(1, len(costs) + 1)))
    told = [(step, cost) for step, cost in enumerate(costs, 1) if cost is not None]
    spent = points([step for step, _ in told], [cost for _, cost in told])
    asked = [step for step in asked if step <= len(costs)]
    plain = [None if None in costs[:step] else math.fsum(c or 0 for c in costs[:step]) for step in asked]
    found = known(by_step(points(asked), of_every_epoch(spent, every)))
    assert found == [None if sum_ is None else pytest.approx(sum_) for sum_ in plain]


def test_behind_an_epoch_that_is_not_there_nobody_knows_the_sum() -> None:
    every = points([1, 2, 4])
    sums = by_step(every, of_every_epoch(points([1, 2, 4], [1, 2, 4]), every))
    assert known(sums) == [1, 3, None]
    assert known(by_step(every, of_every_epoch(None, every))) == [None] * 3


def test_what_a_script_used_is_matched_by_the_time_whatever_its_steps_count() -> None:
    spent = points([1, 2], [10.0, 30.0], times=[110, 120])
    batches = points([0, 500, 1000, 1500], times=[100, 105, 110, 115])
    assert known(by_time(batches, spent, start_s=100)) == [0, 5, 10, 25]


def test_a_point_that_was_reported_right_after_its_cost_has_all_of_it() -> None:
    spent = points([1, 2], [10.0, 30.0], times=[110, 120])
    assert known(by_time(points([2, 3], times=[120.5, 130]), spent, start_s=100)) == [40, None]


def test_what_a_script_does_not_know_is_unknown_from_there_on() -> None:
    spent = points([1, 2, 3], [10.0, math.nan, 5.0], times=[110, 120, 130])
    asked = points([1, 2, 3], times=[110, 115, 131])
    assert known(by_time(asked, spent, start_s=100)) == [10, None, None]
    assert known(by_time(asked, None, start_s=100)) == [None] * 3
    assert known(by_time(asked, points([1], [1.0], times=[math.nan]), start_s=100)) == [None] * 3


@given(
    st.lists(st.tuples(st.integers(101, 200), st.floats(0, 1e3)), min_size=1, max_size=10),
    st.lists(st.integers(100, 200), max_size=10),
)
def test_between_two_reports_power_is_constant(reports: list[tuple[int, float]], asked: list[int]) -> None:
    reports.sort(key=lambda report: report[0])
    spent = points([9] * len(reports), [cost for _, cost in reports], times=[time for time, _ in reports])

    def plain(at: int) -> float | None:
        before_s, used = 100, 0.0
        for time in sorted({time for time, _ in reports}):
            cost = math.fsum(cost for own, cost in reports if own == time)
            if at <= time:
                return used + cost * (at - before_s) / (time - before_s)
            before_s, used = time, used + cost
        return None

    found = known(by_time(points([99] * len(asked), times=list(asked)), spent, start_s=100))
    assert found == [None if (sum_ := plain(at)) is None else pytest.approx(sum_) for at in asked]
