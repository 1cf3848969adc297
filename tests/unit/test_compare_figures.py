"""Smoothing, axes, groups and statistics of a comparison, against plain reference computations."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import RunOptions, RunReply, Series, Status
from schema.configurations import configuration_of
from views.compare.groups import SEEDS, Group, group_runs, list_groupings, spread_of
from views.compare.points import Axis, Curve, Scales, cut, left_out, place, without_place
from views.compare.smoothing import Smoothing, smooth

VALUES = st.lists(st.none() | st.floats(-1e6, 1e6), max_size=30)
OFF = Smoothing()


def run(number: int, *tags: str, simulated: Any = False, gpu: Any = None, **params: Any) -> RunReply:
    return RunReply(
        run_id=f"{number:032x}",
        iid=f"{number:032x}",
        hyper_params=params,
        options=RunOptions(tags=tags),
        status=Status.DONE,
        time_added=datetime(2026, 1, 1, tzinfo=UTC),
        num_epochs=1,
        progress=1.0,
        simulated=simulated,
        environment={"gpu_name": gpu} if gpu else {},
    )


def names_of(groups: list[Group]) -> dict[str, list[int]]:
    return {group.name: [int(run_id, 16) for run_id in group.run_ids] for group in groups}


def series(values: list[float], **more: Any) -> Series:
    count = len(values)
    known: dict[str, Any] = {"steps": list(range(1, count + 1)), "times": [None] * count, **more}
    return Series(values=values, total=count, is_downsampled=False, **known)


def plain_mean(values: list[float | None], weights: list[float]) -> float:
    """The mean of the values that are known, the last of them with the first weight."""
    known = [value for value in values if value is not None][::-1]
    own = weights[: len(known)]
    return math.fsum(w * v for w, v in zip(own, known, strict=False)) / math.fsum(own)


@given(VALUES, st.floats(0.01, 0.99))
def test_an_exponential_mean_has_weights_that_shrink_with_age_and_add_up_to_one(
    values: list[float | None], weight: float
) -> None:
    weights = [weight**age for age in range(len(values))]
    plain = [
        None if value is None else plain_mean(values[: at + 1], weights) for at, value in enumerate(values)
    ]
    found = smooth(values, Smoothing("exponential", weight=weight))
    assert found == [None if mean is None else pytest.approx(mean, rel=1e-6, abs=1e-4) for mean in plain]


@given(VALUES, st.integers(2, 8))
def test_a_moving_mean_is_of_the_last_known_points(values: list[float | None], window: int) -> None:
    plain = [
        None if value is None else plain_mean(values[: at + 1], [1.0] * window)
        for at, value in enumerate(values)
    ]
    found = smooth(values, Smoothing("moving", window=window))
    assert found == [None if mean is None else pytest.approx(mean, rel=1e-9, abs=1e-6) for mean in plain]


def test_a_first_value_is_not_drawn_towards_zero_and_a_constant_stays_one() -> None:
    assert smooth([4.0, None, 4.0], Smoothing("exponential", weight=0.9)) == [
        pytest.approx(4.0), None, pytest.approx(4.0),
    ]  # fmt: skip
    assert smooth([4.0, 2.0], OFF) == [4.0, 2.0]
    assert not Smoothing("exponential", weight=0.0).is_on
    assert "bias-corrected" in Smoothing("exponential", weight=0.6).sentence


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_the_spread_is_what_the_standard_library_says(values: list[float]) -> None:
    found = spread_of([*values, math.nan, math.inf])
    assert found is not None
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    about = [pytest.approx(value, rel=1e-9, abs=1e-6) for value in (first, middle, third)]
    assert [found.first_quartile, found.median, found.third_quartile] == about
    assert (found.n, found.low, found.high) == (len(values), min(values), max(values))


def test_one_value_is_its_own_middle_and_none_has_none() -> None:
    found = spread_of([3.0])
    assert found is not None
    assert (found.n, found.median, found.first_quartile, found.high) == (1, 3.0, 3.0, 3.0)
    assert spread_of([math.nan]) is None


TIMED = st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(0, 1e4)), max_size=20)


@given(TIMED, st.sampled_from(["time", "energy_kwh"]))
def test_each_point_is_placed_once_in_the_order_of_its_axis_and_none_without_a_place(
    points: list[tuple[float, float | None]], axis: Axis
) -> None:
    values = [value for value, _ in points]
    places = [x for _, x in points]
    own = series(values, times=places) if axis == "time" else series(values, costs=places)
    start_s = 10.0 if axis == "time" else 0.0
    found = place(own, axis, 10.0, OFF)
    plain = sorted((x - start_s, step) for step, x in enumerate(places, 1) if x is not None)
    assert list(found.xs) == [x for x, _ in plain]
    assert sorted(zip(found.xs, found.steps, strict=True)) == plain
    assert [found.values[at] for at in range(len(plain))] == [values[step - 1] for step in found.steps]
    assert found.asked == len(points)


def test_what_is_missing_on_an_axis_is_said() -> None:
    known = place(series([1.0, 2.0, 3.0], costs=[0.5, 1.0, None]), "energy_kwh", 0, OFF)
    unknown = place(series([1.0]), "energy_kwh", 0, OFF)
    labels = {"a": "one", "b": "two", "c": "three"}
    assert left_out({"a": [known], "b": [unknown], "c": []}, labels, "energy_kwh") == [
        "one: its energy is known up to step 2 only.", "two: not drawn, its energy is not known.",
    ]  # fmt: skip
    assert left_out({"b": [place(series([1.0]), "step", 0, OFF)]}, labels, "step") == []


def test_a_log_scale_has_no_place_at_zero_or_below() -> None:
    curve = Curve([0, 1, 2], [0.0, 1.0, 2.0], [1.0, -1.0, None], [1.0, 0.5, None], 3)
    both = Scales(log_x=True, log_y=True)
    shown = cut(curve, both)
    assert (list(shown.xs), shown.values, shown.smoothed) == ([1, 2], [None, None], [0.5, None])
    assert without_place({"a": [curve]}, both) == 2
    assert cut(curve, Scales()) == curve
    assert without_place({"a": [curve]}, Scales()) == 0


def test_runs_that_differ_in_their_seed_alone_are_one_group() -> None:
    runs = [run(n, network="a", lr=lr, seed=n) for n, lr in ((1, 0.1), (2, 0.1), (3, 0.2))]
    assert names_of(group_runs(runs, SEEDS)) == {"lr 0.1": [1, 2], "lr 0.2": [3]}
    alone = [run(1, network="a", seed=1), run(2, network="a", seed=2)]
    assert names_of(group_runs(alone, SEEDS)) == {"a": [1, 2]}


def test_another_device_is_another_configuration_and_a_simulated_run_is_never_among_real_ones() -> None:
    runs = [run(1, lr=1), run(2, lr=1, gpu="H200"), run(3, lr=1, simulated=True)]
    assert list(names_of(group_runs(runs, SEEDS)).values()) == [[1], [2], [3]]
    assert names_of(group_runs(runs, "lr")) == {"1": [1, 2], "1 (simulated)": [3]}


PARAMS = st.dictionaries(st.sampled_from(["lr", "network", "seed"]), st.integers(0, 2), max_size=3)


@given(st.lists(PARAMS, min_size=1, max_size=8))
def test_groups_of_configurations_are_those_of_the_leaderboard(params: list[dict[str, int]]) -> None:
    runs = [run(number, **own) for number, own in enumerate(params, 1)]
    groups = group_runs(runs, SEEDS)
    plain: dict[int, set[str]] = {}
    for own in runs:
        key = configuration_of(own.hyper_params, {}, simulated=False, script=None)
        plain.setdefault(key, set()).add(own.run_id)
    assert sorted(map(sorted, plain.values())) == sorted(sorted(group.run_ids) for group in groups)
    assert len({group.name for group in groups}) == len(groups)


def test_runs_are_grouped_by_their_tags_by_a_kind_of_tag_and_by_any_parameter() -> None:
    runs = [run(1, "paper", "sweep:x", dataset="d"), run(2, "sweep:y"), run(3, dataset="d", model={"k": 1})]
    assert list_groupings(runs) == [SEEDS, "tag sweep:", "tag", "dataset", "model.k", "project"]
    assert names_of(group_runs(runs, "tag sweep:")) == {"sweep:x": [1], "sweep:y": [2], "no sweep": [3]}
    assert names_of(group_runs(runs, "tag")) == {
        "paper": [1], "sweep:x": [1], "sweep:y": [2], "no tag": [3],
    }  # fmt: skip
    assert names_of(group_runs(runs, "dataset")) == {"d": [1, 3], "dataset not said": [2]}
    assert names_of(group_runs(runs, "project")) == {"default": [1, 2, 3]}
