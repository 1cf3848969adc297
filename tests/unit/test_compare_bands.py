"""The median of a group's curves and its band, against plain reference computations."""

from __future__ import annotations

import statistics

import pytest

from views.compare.bands import Band, bands_of
from views.compare.charts import compare_figure, lines_of
from views.compare.groups import Group
from views.compare.points import Curve, Scales


def curve(steps: list[int], values: list[float | None], xs: list[float] | None = None) -> Curve:
    return Curve(steps, xs or [float(step) for step in steps], values, values, len(steps))


def band(*curves: Curve) -> Band:
    named = {f"r{number}": own for number, own in enumerate(curves)}
    (found,) = bands_of([Group("all", tuple(named))], named)
    return found


def test_a_band_is_the_median_between_the_quartiles_of_four_and_all_of_fewer() -> None:
    values = [[1.0, 4.0], [2.0, 8.0], [4.0, 2.0], [9.0, 6.0], [3.0, 5.0]]
    five = band(*(curve([1, 2], list(own)) for own in values))
    for at in (0, 1):
        first, middle, third = statistics.quantiles([own[at] for own in values], n=4, method="inclusive")
        assert (five.low[at], five.middle[at], five.high[at]) == (first, middle, third)
    three = band(*(curve([1, 2], list(own)) for own in values[:3]))
    assert (list(three.low), list(three.middle), list(three.high)) == ([1, 2], [2, 4], [4, 8])


def test_runs_of_other_steps_are_met_between_their_points_and_nowhere_beyond() -> None:
    found = band(curve([0, 10], [0.0, 10.0]), curve([0, 5, 10, 20], [2.0, 7.0, 12.0, 99.0]))
    assert list(found.xs) == [0, 5, 10]
    assert list(found.middle) == [1, 6, 11]
    gap = band(curve([1, 2, 3], [1.0, None, 3.0]), curve([1, 2, 3], [1.0, 2.0, 3.0]))
    assert list(gap.xs) == [1, 3], "a gap is no value between its neighbours"


def test_a_group_ends_where_fewer_than_half_of_its_runs_went_on() -> None:
    curves = [curve(list(range(1, last + 1)), [1.0] * last) for last in (2, 3, 3, 9)]
    assert list(band(*curves).xs) == [1, 2, 3]


def test_over_time_a_step_stands_where_half_of_the_runs_were() -> None:
    found = band(
        curve([1, 2], [1.0, 2.0], [10.0, 20.0]),
        curve([1, 2], [1.0, 2.0], [12.0, 24.0]),
        curve([1, 2], [1.0, 2.0], [30.0, 60.0]),
    )
    assert list(found.xs) == [12, 24]


def test_many_steps_are_as_many_as_a_chart_can_show() -> None:
    steps = list(range(1, 5_001))
    found = band(curve(steps, [float(step) for step in steps]), curve(steps, [0.0] * 5_000))
    assert (len(found.xs), found.xs[0], found.xs[-1]) == (400, 1, 5_000)
    assert found.middle[200] == pytest.approx(found.xs[200] / 2)


def test_a_figure_has_the_band_with_its_runs_faint_and_a_run_alone_as_ever() -> None:
    curves = {name: curve([1, 2], [float(at), 2.0]) for at, name in enumerate(("a", "b", "c"))}
    figure = compare_figure(
        "loss", curves, axis="step", scales=Scales(), lines=lines_of(list(curves)),
        labels={name: f"run {name}" for name in curves},
        groups=[Group("both", ("a", "b")), Group("alone", ("c",))],
    )  # fmt: skip
    named = {trace.name: list(trace.y) for trace in figure.data if trace.name}
    assert named == {"run c": [2.0, 2.0], "both, n = 2": [0.5, 2.0]}
    assert sum(trace.opacity is not None for trace in figure.data) == 2, "the runs of the group"
    assert [trace.fill for trace in figure.data if trace.fill] == ["tonexty"]
