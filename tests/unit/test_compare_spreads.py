"""Runs as wholes: the fields of an axis, the figures of them, and the files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from schema import MetricSummary
from tests.unit.test_compare import NAMED, SHOWN, metric, run
from tests.unit.test_compare_figures import series
from views.compare.compared import Compared
from views.compare.curves import Drawn
from views.compare.fields import Field, differing, list_fields
from views.compare.files import write_curves, write_runs
from views.compare.groups import Group, Spread, spread_of
from views.compare.points import Scales, place
from views.compare.smoothing import Smoothing
from views.compare.spread_charts import Look, boxes_figure, has_place, parallel_figure, scatter_figure

RUNS = [run(1, lr=0.1, network="a", seed=1), run(2, lr=0.2, network="b", seed=2), run(3, network="a", seed=3)]
ONE, TWO, THREE = (own.run_id for own in RUNS)
LOSS = {
    ONE: {"loss": metric("loss", 0.5, 2, 0.75)},
    TWO: {"loss": metric("loss", 0.25, 3, 1.0)},
    THREE: dict[str, MetricSummary](),
}
FIELDS = list_fields(RUNS, LOSS, ["loss"])
COMPARED = Compared(RUNS, LOSS, {})
LOOK: Look = COMPARED.look
LEVEL = Scales()


def test_fields_are_results_params_and_metrics_in_units_that_fit() -> None:
    cheap = RUNS[0].model_copy(update={"energy_kwh": 2e-4, "best_accuracy": 0.5})
    fields = list_fields([cheap, RUNS[1]], LOSS, ["loss"])
    assert fields["energy"] == Field("energy", "energy (Wh)", "result", {ONE: 0.2}, "lowest")
    assert fields["best accuracy"].values == {ONE: 50.0}
    assert fields["best loss"].values == {ONE: 0.5, TWO: 0.25}
    assert (fields["lr"].is_number, fields["network"].is_number) == (True, False)
    assert "CO₂" not in fields, "nobody knows it"
    assert differing(FIELDS) == ["lr", "network", "seed"]


def test_a_param_that_is_called_like_a_result_keeps_its_own_values() -> None:
    fields = list_fields([run(1, epochs=5), run(2, epochs=6)], {}, [])
    assert list(fields["epochs (parameter)"].values.values()) == [5.0, 6.0]
    assert list(fields["epochs"].values.values()) == [0.0, 0.0]


def test_parallel_axes_go_from_the_lowest_to_the_highest_and_what_is_not_known_is_below() -> None:
    figure = parallel_figure([FIELDS["lr"], FIELDS["network"], FIELDS["best loss"]], LOOK, None)
    first, second, third = figure.data
    assert (list(first.y), list(second.y)) == ([0, 0, 1], [1, 1, 0])
    assert (third.y[0] < 0, third.y[1], third.y[2] < 0) == (True, 0, True)
    assert first.line.color == LOOK.lines[ONE].color
    assert {note.text for note in figure.layout.annotations} == {
        "0.1", "0.2", "a", "b", "0.25", "0.5", "not known",
    }  # fmt: skip


def test_lines_take_colours_from_a_result_and_grey_where_it_is_not_known() -> None:
    *lines, bar = parallel_figure([FIELDS["lr"], FIELDS["seed"]], LOOK, FIELDS["best loss"]).data
    assert [line.line.color for line in lines] == ["rgb(201,96,26)", "rgb(47,125,225)", "#8a8f98"]
    assert (bar.marker.cmin, bar.marker.cmax) == (0.25, 0.5)


def test_a_run_without_a_value_has_no_point_and_words_have_places_too() -> None:
    figure = scatter_figure(FIELDS["network"], FIELDS["best loss"], LOOK, LEVEL)
    assert [(list(dot.x), list(dot.y)) for dot in figure.data] == [(["a"], [0.5]), (["b"], [0.25])]
    assert figure.layout.xaxis.type == "category"
    zero = Field("f", "f", "result", {ONE: 0.0, TWO: 1.0})
    assert [has_place(zero, run_id, is_log=True) for run_id in (ONE, TWO, THREE)] == [False, True, False]


def test_a_group_has_a_box_from_four_runs_on_and_a_median_from_one() -> None:
    field = Field("f", "f", "result", {f"r{n}": float(n) for n in range(5)})
    ids = tuple(field.values)
    groups = [Group("four", ids[:4]), Group("one", ids[4:]), Group("none", ())]
    spreads: list[tuple[Group, Spread | None]] = [
        (group, spread_of(field.numbers[run_id] for run_id in group.run_ids)) for group in groups
    ]
    compared = Compared([run(n) for n in range(5)], {}, {})
    names = dict(zip(compared.labels, ids, strict=True))
    look = Look(
        {names[own]: line for own, line in compared.lines.items()},
        {names[own]: label for own, label in compared.labels.items()},
    )
    box, _, middles, *dots = boxes_figure(field, spreads, look, LEVEL).data
    assert [y for y in box.y if y is not None] == [0.75, 0.75, 2.25, 2.25, 0.75]
    assert [y for y in middles.y if y is not None] == [1.5, 1.5, 4, 4]
    assert [list(dot.y) for dot in dots] == [[0], [1], [2], [3], [4]]
    assert len({dot.x[0] for dot in dots[:4]}) == 4, "equal ones are told apart"


def test_no_name_is_markup_in_a_figure() -> None:
    field = Field(NAMED, NAMED, "param", {ONE: NAMED, TWO: 1.0})
    number = Field(NAMED, NAMED, "result", {ONE: 1.0})
    look = Look(LOOK.lines, {ONE: NAMED, TWO: NAMED})
    group = (Group(NAMED, (ONE,)), spread_of([1.0]))
    figures: list[Any] = [
        parallel_figure([field, number], look, number),
        scatter_figure(field, number, look, LEVEL),
        boxes_figure(number, [group], look, LEVEL),
    ]
    for figure in figures:
        figure.update_layout(uirevision=None)  # which nobody sees
        text = json.dumps(json.loads(figure.to_json()))
        assert "<a href" not in text
        assert SHOWN in text


def test_no_cell_of_a_file_is_a_formula() -> None:
    evil = run(4, lr="=1+1").model_copy(update={"name": "=HYPERLINK(1)"})
    rows = list(
        csv.DictReader(io.StringIO(write_runs(Compared([evil, RUNS[0]], LOSS | {evil.run_id: {}}, {}))))
    )
    assert rows[0]["run"] == "'=HYPERLINK(1)"
    assert (rows[0]["param lr"], rows[1]["param lr"]) == ("'=1+1", "0.1")
    assert (rows[0]["lowest loss"], rows[1]["lowest loss"]) == ("", "0.5")
    assert (rows[0]["energy_kwh"], rows[0]["simulated"]) == ("", "false")


def test_curves_are_saved_as_they_are_drawn() -> None:
    own = series([3.0, float("nan"), 1.0], costs=[0.1, 0.2, None])
    curve = place(own, "energy_kwh", 0.0, Smoothing("moving", window=2))
    text = write_curves(COMPARED, Drawn({"loss": {ONE: curve}}, "energy_kwh"))
    assert text.splitlines() == [
        "run_id,run,simulated,metric,step,energy_used_kwh,value,smoothed",
        f"{ONE},a,false,loss,1,0.1,3.0,3.0",
        f"{ONE},a,false,loss,2,0.2,,",
    ]
