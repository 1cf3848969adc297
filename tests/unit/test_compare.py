"""What runs differ in, how well each did, and how each is drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go
import pytest

from schema import MetricSummary, RunReply, Series, Status
from training_monitor.comparison import _LOWER_IS_BETTER
from views.charts import metric_figure
from views.compare.charts import compare_figure, lines_of
from views.compare.points import Scales, place
from views.compare.smoothing import Smoothing
from views.compare.tables import (
    direction_of,
    labels_of,
    list_params,
    list_rows,
    metrics_frame,
    mixed_units,
    params_frame,
    rank_of,
    total_rows,
    warnings_of,
)
from views.histograms import on_one_scale
from views.look import RUN_COLORS, run_color
from views.run.media_charts import heat_map_figure, ridges_figure
from views.run.system_charts import system_figure


def run(number: int, *, simulated: bool = False, **hyper_params: Any) -> RunReply:
    return RunReply(
        run_id=f"{number:032x}"[::-1],
        iid=f"{number:032x}"[::-1],
        hyper_params=hyper_params,
        status=Status.DONE,
        time_added=datetime(2026, 1, 1, tzinfo=UTC),
        num_epochs=1,
        progress=1.0,
        simulated=simulated,
    )


def metric(name: str, low: float, high: float, last: float) -> MetricSummary:
    return MetricSummary(name=name, count=3, last_step=2, last_value=last, min=low, max=high)


ONE, TWO, THREE = run(1, network="a", lr=0.1), run(2, network="a", lr=0.2), run(3, network="a", lr=0.1)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("train_loss", "lowest"), ("val/RMSE", "lowest"), ("energy_kwh", "lowest"),
        ("test_accuracy", "highest"), ("val-acc", "highest"), ("eval/F1", "highest"), ("mAP", "highest"),
        ("top1_accuracy", "highest"), ("lr", None), ("batch", None), ("system/gpu0_percent", None),
    ],
)  # fmt: skip
def test_the_name_tells_which_value_is_the_best(name: str, direction: str | None) -> None:
    assert direction_of(name) == direction
    assert (direction == "lowest") == bool(_LOWER_IS_BETTER.search(name)), "as the SDK has it"


def test_what_a_training_is_for_stands_before_what_it_costs() -> None:
    names = ["energy_kwh", "lr", "test_loss", "co2_g", "accuracy", "duration_s"]
    assert sorted(names, key=lambda name: (rank_of(name), name)) == [
        *("accuracy", "test_loss"), "lr", *("co2_g", "duration_s", "energy_kwh"),
    ]  # fmt: skip


def test_only_params_that_differ_are_listed_nested_ones_with_dots() -> None:
    runs = [
        run(1, lr=0.1, model={"depth": 50, "norm": "b"}, seed=0, extra=None),
        run(2, lr=0.1, model={"depth": 18, "norm": "b"}),
    ]
    found = list_params(runs)
    assert list(found) == ["model.depth", "seed"]
    assert set(list_params(runs, are_all_wanted=True)) == {"lr", "model.depth", "model.norm", "seed"}
    labels = labels_of(runs)
    frame = params_frame(found, labels)
    assert list(frame.loc[1]) == ["seed", "0", "–"]
    assert list_params([ONE, THREE]) == {}


def test_numbers_that_are_equal_and_texts_that_look_like_them_differ() -> None:
    assert list(list_params([run(1, a=1, b=1), run(2, a="1", b=1)])) == ["a"]


def test_the_best_of_each_line_has_a_star() -> None:
    metrics = {
        ONE.run_id: {"loss": metric("loss", 0.5, 2, 0.75), "lr": metric("lr", 0, 1, 0)},
        TWO.run_id: {"loss": metric("loss", 0.25, 3, 1.0), "lr": metric("lr", 0, 2, 0)},
        THREE.run_id: {},
    }
    runs = [ONE, TWO, THREE]
    rows = list_rows(runs, metrics, ["loss", "lr"])
    assert [(row.name, row.what) for row in rows] == [
        ("loss", "best (lowest)"), ("loss", "last"), ("lr", "highest"), ("lr", "last"),
    ]  # fmt: skip
    assert [row.best for row in rows] == [{TWO.run_id}, {ONE.run_id}, set(), set()]
    frame = metrics_frame(rows, labels_of(runs))
    assert list(frame.loc[0])[2:] == ["0.5000", "★ 0.2500", "–"]
    assert list(frame.loc[2])[2:] == ["1", "2", "–"]


def test_all_that_are_best_have_a_star_and_none_where_all_are_alike() -> None:
    metrics = {
        own.run_id: {"loss": metric("loss", value, 9, 5)}
        for own, value in ((ONE, 1.0), (TWO, 1.0), (THREE, 2.0))
    }
    best, last = list_rows([ONE, TWO, THREE], metrics, ["loss"])
    assert best.best == {ONE.run_id, TWO.run_id}
    assert last.best == set()


def test_a_value_that_is_no_number_is_never_the_best() -> None:
    unknown = MetricSummary(name="loss", count=1, last_step=0, last_value=float("-inf"), min=None, max=None)
    metrics = {
        ONE.run_id: {"loss": unknown},
        TWO.run_id: {"loss": metric("loss", 1, 1, 1)},
        THREE.run_id: {"loss": metric("loss", 2, 2, 2)},
    }
    best, last = list_rows([ONE, TWO, THREE], metrics, ["loss"])
    assert best.best == last.best == {TWO.run_id}
    assert list(metrics_frame([best, last], labels_of([ONE])).iloc[:, 2]) == ["–", "-inf"]


def test_a_simulated_run_is_never_better_than_a_real_one() -> None:
    made_up = run(9, simulated=True)
    metrics = {
        own.run_id: {"loss": metric("loss", low, 9, low)}
        for own, low in ((made_up, 0.1), (ONE, 0.5), (TWO, 0.6))
    }
    assert list_rows([made_up, ONE, TWO], metrics, ["loss"])[0].best == {ONE.run_id}
    assert "made up" in warnings_of([made_up, ONE])[0]
    assert "(simulated)" in labels_of([made_up])[made_up.run_id]


def test_a_fraction_and_per_cent_are_never_compared() -> None:
    metrics = {
        ONE.run_id: {"val_acc": metric("val_acc", 0.1, 0.9, 0.9)},
        TWO.run_id: {"val_acc": metric("val_acc", 10, 80, 80)},
        THREE.run_id: {"loss": metric("loss", 0.1, 9, 0.1)},
    }
    assert mixed_units(metrics) == {"val_acc"}
    assert [row.best for row in list_rows([ONE, TWO], metrics, ["val_acc"])] == [set(), set()]
    assert "val_acc: some runs seem to report a fraction" in warnings_of([ONE, TWO], metrics)[0]


def test_measured_and_estimated_energy_are_compared_with_a_warning() -> None:
    figures = {"energy_kwh": 0.5, "best_accuracy": 0.5}
    measured, estimated = (
        own.model_copy(update={**figures, "energy_quality": quality})
        for own, quality in ((ONE, "measured"), (TWO, "estimated"))
    )
    assert "compare within one kind" in warnings_of([measured, estimated])[0]
    assert warnings_of([measured, measured]) == []


def test_figures_of_whole_runs_have_their_best_too() -> None:
    runs = [own.model_copy(update={"co2_g": co2}) for own, co2 in ((ONE, 2.0), (TWO, 1.0), (THREE, None))]
    (row,) = total_rows(runs)
    assert (row.name, row.what, row.best) == ("CO₂", "whole run", frozenset({TWO.run_id}))
    frame = metrics_frame([row], labels_of(runs))
    assert list(frame.loc[0])[2:] == ["2.00\u00a0g", "★ 1.00\u00a0g", "–"]


@pytest.mark.parametrize(
    ("per_kwh", "texts"),
    [
        ((365_543.67, 467_234.87), ["36.6\u00a0M points", "★ 46.7\u00a0M points"]),
        ((120.0, 99.0), ["★ 12.0\u00a0K points", "9.9\u00a0K points"]),
        ((0.9, 0.8), ["★ 90.0\u00a0points", "80.0\u00a0points"]),
    ],
)
def test_accuracy_per_kwh_is_in_points_as_on_the_leaderboard(
    per_kwh: tuple[float, float], texts: list[str]
) -> None:
    runs = [
        own.model_copy(update={"accuracy_per_kwh": value})
        for own, value in zip((ONE, TWO), per_kwh, strict=True)
    ]
    frame = metrics_frame(total_rows(runs), labels_of(runs))
    assert list(frame.loc[0])[2:] == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.6666666, 12.0), ["0.6667", "★ 12.0000"]),
        ((1e-5, 0.25), ["1e-05", "★ 0.25"]),
        ((3.0, 12_000.0), ["3", "★ 12000"]),
        ((0.5, 123.456), ["0.50", "★ 123.46"]),
        ((0.0, 0.5), ["0.0000", "★ 0.5000"]),
        ((float("nan"), 0.5), ["nan", "0.5000"]),
    ],
)
def test_the_values_of_a_line_are_written_alike(values: Sequence[float], texts: Sequence[str]) -> None:
    runs = [ONE, TWO]
    metrics = {
        own.run_id: {"reward": metric("reward", 0, value, value)}
        for own, value in zip(runs, values, strict=True)
    }
    _, last = list_rows(runs, metrics, ["reward"])
    assert list(metrics_frame([last], labels_of(runs)).loc[0])[2:] == texts


def test_runs_on_different_datasets_are_compared_with_a_warning() -> None:
    (warning,) = warnings_of([run(1, dataset="digits"), run(2, dataset="mnist")])
    assert "different datasets, digits, mnist" in warning
    assert warnings_of([run(1, dataset="digits"), run(2, dataset="digits"), run(3)]) == []


def test_no_two_runs_have_the_same_label() -> None:
    alike = [run(number) for number in (0x10000, 0x20000, 0x30000)]
    labels = labels_of(alike)
    assert len(set(labels.values())) == 3
    assert labels_of([ONE, TWO])[ONE.run_id] == "a · 1000"


def test_runs_keep_their_colour_and_those_of_one_colour_differ_in_their_dash() -> None:
    runs = [f"{number:032x}" for number in range(20)]
    lines = lines_of(runs)
    assert [lines[run_id].color for run_id in runs] == [run_color(run_id) for run_id in runs]
    assert len({(line.color, line.dash) for line in lines.values()}) == 20
    assert {line.color for line in lines.values()} == set(RUN_COLORS)
    assert all("stroke='%23" in line.swatch for line in lines.values())


def series(steps: list[int], values: list[float], times: list[float | None]) -> Series:
    return Series(steps=steps, values=values, times=times, total=len(steps), is_downsampled=False)


LEVEL, ROUGH = Scales(), Smoothing()


def draw(axis: Any, scales: Any = LEVEL, how: Any = ROUGH, **own: Series) -> Any:
    return compare_figure(
        "loss",
        {run_id: place(points, axis, 1000.0, how) for run_id, points in own.items()},
        axis=axis,
        scales=scales,
        lines=lines_of(list(own)),
        labels={run_id: f"label {run_id}" for run_id in own},
    )


def test_curves_are_drawn_by_step_or_by_the_time_since_each_began() -> None:
    own = series([3, 1], [0.5, float("nan")], [2800.0, 1900.0])
    by_step = draw("step", a=own).data[0]
    assert (list(by_step.x), list(by_step.y), by_step.name) == ([3, 1], [0.5, None], "label a")
    figure = draw("time", a=own, b=series([1, 2], [1.0, 2.0], [None, 1000.0]))
    assert list(figure.data[0].x) == [15, 30]
    assert list(figure.data[0].y) == [None, 0.5]
    assert (list(figure.data[1].x), list(figure.data[1].y)) == ([0], [2.0])
    assert figure.layout.xaxis.title.text == "time since the start (min)"
    assert figure.layout.uirevision != draw("step", a=own).layout.uirevision, "a zoom is of one axis"


def test_curves_are_drawn_by_what_each_run_had_used_in_a_unit_that_fits() -> None:
    own = series([1, 2, 3], [3.0, 2.0, 1.0], [None] * 3).model_copy(update={"costs": [1e-4, 3e-4, None]})
    figure = draw("energy_kwh", a=own)
    assert (list(figure.data[0].x), list(figure.data[0].y)) == (
        [pytest.approx(0.1), pytest.approx(0.3)],
        [3, 2],
    )
    assert figure.layout.xaxis.title.text == "energy used until then (Wh)"


def test_what_was_reported_is_faint_behind_a_smoothed_curve() -> None:
    raw, smoothed = draw(
        "step", how=Smoothing("moving", window=2), a=series([1, 2], [1.0, 3.0], [None] * 2)
    ).data
    assert (list(raw.y), raw.opacity < 0.5, raw.showlegend) == ([1, 3], True, False)
    assert (list(smoothed.y), smoothed.opacity) == ([1, 2], None)
    assert raw.line.color == smoothed.line.color


def test_a_log_scale_is_one_of_the_axis_that_was_asked_for() -> None:
    figure = draw("step", Scales(log_y=True), a=series([1, 2], [0.0, 3.0], [None] * 2))
    assert (figure.layout.yaxis.type, figure.layout.xaxis.type) == ("log", None)
    assert list(figure.data[0].y) == [None, 3]


def test_many_curves_have_their_legend_in_the_table_of_runs() -> None:
    one = series([1], [1.0], [None])
    assert draw("step", **{f"r{number}": one for number in range(6)}).layout.showlegend
    assert not draw("step", **{f"r{number}": one for number in range(7)}).layout.showlegend


NAMED = "<a href='https://example.org/'>a & b</a> {0<1}"
SHOWN = "&lt;a href='https://example.org/'&gt;a &amp; b&lt;/a&gt; {0&lt;1}"


def test_what_somebody_named_is_no_markup_in_a_chart() -> None:
    one = series([1], [1.0], [1.0])
    spread = on_one_scale([[0.0, 1.0]], [[1]])
    assert spread is not None
    figures = [
        compare_figure(
            NAMED,
            {"a": place(one, "step", 0.0, Smoothing())},
            axis="step",
            scales=Scales(),
            lines=lines_of(["a"]),
            labels={"a": NAMED},
        ),
        metric_figure("a", NAMED, {NAMED: one}),
        system_figure("a", "CPU", "%", {NAMED: one}, zone=UTC),
        go.Figure(json.loads(ridges_figure("a", NAMED, [1], spread))),
        heat_map_figure("a", NAMED, [1], spread),
    ]
    names = [curve.name for figure in figures for curve in figure.data if curve.name]
    assert names == [SHOWN] * 3
    titles = [figure.layout.title.text for figure in figures]
    assert titles == [SHOWN, SHOWN, "CPU", SHOWN, SHOWN]
    assert figures[1].layout.yaxis.title.text == "&lt;a href='https://example.or…"
