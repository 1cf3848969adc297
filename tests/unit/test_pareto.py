"""The Pareto front against brute force."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.pareto import find_front

FEW = st.sampled_from([0.0, 0.25, 0.5, 1.0, nan])
ANY = st.floats(allow_nan=True, allow_infinity=False)
POINTS = st.lists(st.tuples(FEW, FEW), max_size=12) | st.lists(st.tuples(ANY, ANY), max_size=40)


def brute_force(points: list[tuple[float, float]]) -> list[bool]:
    def outdoes(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one != other and one[0] >= other[0] and one[1] <= other[1]

    known = [point for point in points if not (isnan(point[0]) or isnan(point[1]))]
    return [
        not (isnan(point[0]) or isnan(point[1])) and not any(outdoes(other, point) for other in known)
        for point in points
    ]


def front(points: list[tuple[float, float]]) -> list[bool]:
    gains, costs = (np.array([point[place] for point in points], dtype=float) for place in (0, 1))
    found: list[bool] = find_front(gains, costs).tolist()
    return found


@given(POINTS)
def test_the_front_is_whom_nobody_outdoes(points: list[tuple[float, float]]) -> None:
    assert front(points) == brute_force(points)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ([(0.9, 1.0)], [True]),
        ([(nan, 1.0), (0.9, nan)], [False, False]),
        ([(0.9, 1.0), (0.9, 1.0), (0.8, 1.0), (0.9, 2.0)], [True, True, False, False]),
        ([(0.9, 2.0), (0.8, 1.0), (0.7, 1.5)], [True, True, False]),
    ],
    ids=["no run", "one run", "nothing known", "ties", "a trade-off"],
)
def test_special_cases(points: list[tuple[float, float]], expected: list[bool]) -> None:
    assert front(points) == expected
