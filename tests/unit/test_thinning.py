"""Fewer points that show the shape of all."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from schema import Method
from store.metric_arrays import POINT, Points, from_bytes, summarise, to_bytes
from store.thinning import between, thin

METHODS: tuple[Method, ...] = ("minmax", "lttb")


def points(values: ArrayLike, steps: ArrayLike | None = None) -> Points:
    own = np.asarray(values, dtype=float)
    array = np.zeros(len(own), POINT)
    array["step"] = np.arange(len(own)) if steps is None else steps
    array["value"] = own
    return array


@pytest.mark.parametrize("method", METHODS)
def test_no_more_points_than_wanted_are_all_shown(method: Method) -> None:
    few = points([3.0, 1.0, 2.0, 5.0])
    assert thin(few, 4, method) is few


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("most", [4, 5, 10, 11, 1_000])
@pytest.mark.parametrize("count", [5, 12, 1_001, 20_000])
def test_there_are_at_most_so_many_in_their_order_with_both_ends(
    count: int, most: int, method: Method
) -> None:
    every = points(np.random.default_rng(count).normal(size=count).cumsum())
    kept = thin(every, most, method)
    assert len(kept) <= most
    assert len(kept) >= min(count, most) // 2
    assert np.all(np.diff(kept["step"]) > 0)
    assert kept["step"][0] == 0
    assert kept["step"][-1] == count - 1
    assert np.array_equal(kept, every[kept["step"]])


def test_minmax_loses_no_peak() -> None:
    values = np.zeros(100_000)
    values[12_345], values[67_890] = 9.0, -9.0
    assert {12_345, 67_890} <= set(thin(points(values), 100, "minmax")["step"].tolist())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "steps",
    [np.zeros(500, int), np.repeat([0, 2**63 - 1], 250), np.sort(np.arange(500) % 7)],
    ids=["one step", "far apart", "repeated"],
)
def test_any_steps_may_come(steps: np.ndarray, method: Method) -> None:
    kept = thin(points(np.sin(np.arange(500)), steps), 50, method)
    assert 4 <= len(kept) <= 50
    assert np.all(np.diff(kept["step"]) >= 0)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_is_shown_but_does_not_take_the_place_of_the_rest(method: Method) -> None:
    values = np.arange(1_000.0)
    values[::2] = np.nan
    values[501] = np.inf
    kept = thin(points(values), 100, method)
    is_finite = np.isfinite(kept["value"])
    assert 20 <= (~is_finite).sum() <= 25
    assert 50 <= is_finite.sum() <= 75
    assert len(kept) <= 100


@pytest.mark.parametrize("method", METHODS)
def test_a_metric_without_a_finite_value_is_shown(method: Method) -> None:
    kept = thin(points(np.full(1_000, np.nan)), 100, method)
    assert len(kept) == 100
    assert kept["step"][0] == 0
    assert kept["step"][-1] == 999


def test_a_span_has_both_its_ends() -> None:
    every = points([0.0, 1.0, 2.0, 3.0, 4.0], [0, 2, 2, 5, 9])
    assert between(every, 2, 5)["value"].tolist() == [1.0, 2.0, 3.0]
    assert between(every, None, 1)["value"].tolist() == [0.0]
    assert between(every, 6, None)["value"].tolist() == [4.0]
    assert len(between(every, 6, 5)) == 0


def test_points_are_stored_as_24_bytes_little_endian() -> None:
    one = np.array([(2**62, -1.5, 1e9)], POINT)
    assert to_bytes(one).hex() == "0000000000000040" + "000000000000f8bf" + "0000000065cdcd41"
    assert np.array_equal(from_bytes(to_bytes(one)), one)


def test_what_is_known_of_points_leaves_out_what_is_not_finite() -> None:
    assert summarise(points([1.0, np.nan, 3.0], [7, 9, 9])) == ("3", "9", "3.0", "1.0", "3.0", "4.0", "1")
    assert summarise(points([np.inf])) == ("1", "0", "inf", "", "", "0.0", "1")
