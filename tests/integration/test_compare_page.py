"""The Compare page without a browser: runs of the queue and of scripts beside each other."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from tests.acted_run import ActedRun
from tests.integration.test_external_pages import begin, report
from tests.integration.test_views import Open, api_url, open_page, texts

__all__ = ["api_url", "open_page"]

SEEDED = ((1, 0.1), (2, 0.1), (3, 0.2))


def compare(open_page: Open, api_url: str, *run_ids: str, **settings: Any) -> AppTest:
    app: AppTest = open_page("compare", api_url, run=list(run_ids), **settings)
    assert not app.exception
    return app


def charts(app: AppTest) -> dict[str, dict[str, Any]]:
    """The curves of each chart, by title and by label."""
    found = [json.loads(element.proto.json or "null") or {} for element in app.get("bidi_component")]
    figures = [json.loads(text) for own in found for text in own.get("figures", [])]
    return {
        figure["layout"]["title"]["text"]: {curve.get("name", "raw"): curve for curve in figure["data"]}
        for figure in figures
    }


def tables(app: AppTest) -> list[pd.DataFrame]:
    return [element.value for element in app.dataframe]


def cells(frame: pd.DataFrame, *names: str) -> list[str]:
    """The line of a table that begins with these names, without them."""
    (found,) = (row for row in frame.to_numpy().tolist() if tuple(row[: len(names)]) == names)
    return [str(cell) for cell in found[len(names) :]]


def test_runs_of_the_queue_and_of_a_script_stand_beside_each_other(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    first, second = ActedRun(db), ActedRun(db, learning_rate=0.01)
    first.record(3)
    first.finish()
    second.record(2)
    script = begin(db, name="resnet50", params={"learning_rate": 0.01, "depth": 50})
    report(db, script, train_loss=[0.25, 0.125], **{"system/cpu_percent": [5.0]})
    app = compare(open_page, api_url, first.run_id, second.run_id, script)
    labels = [f"small_cnn · digits · adam · {own.run_id[:4]}" for own in (first, second)]
    labels.append(f"resnet50 · {script[:4]}")
    runs, params, metrics = tables(app)
    assert list(runs["id"]) == [run_id[:8] for run_id in (first.run_id, second.run_id, script)]
    assert list(params.columns) == ["Parameter", *labels]
    assert cells(params, "learning_rate") == ["0.001", "0.01", "0.01"]
    assert cells(params, "depth") == ["–", "–", "50"]
    assert cells(metrics, "train_loss", "last")[2] == "★ 0.1250"
    assert cells(metrics, "test_accuracy", "last")[0].startswith("★ 0.")
    assert "system/cpu_percent" not in set(metrics["Metric"])
    drawn = charts(app)
    assert next(iter(drawn)) == "train_loss", "what all of them have"
    assert [len(curve["x"]) for curve in drawn["train_loss"].values()] == [3, 2, 2]
    assert list(drawn["train_loss"]) == labels
    app.toggle(key="system").set_value(True).run()
    assert "system/cpu_percent" in set(tables(app)[-1]["Metric"])


def test_the_axis_is_time_where_the_reader_wants_it(open_page: Open, api_url: str, db: RedisDB) -> None:
    one, two = begin(db), begin(db)
    for run_id in (one, two):
        report(db, run_id, loss=[2.0, 1.0])
    app = compare(open_page, api_url, one, two)
    (by_step,) = charts(app).values()
    assert {tuple(curve["x"]) for curve in by_step.values()} == {(0, 1)}
    app.segmented_control(key="axis").set_value("Wall time").run()
    assert not app.exception
    (by_time,) = charts(app).values()
    assert {tuple(curve["x"]) for curve in by_time.values()} == {(0, 0)}, "the test reports all at second 0"


def test_runs_without_a_difference_say_so(open_page: Open, api_url: str, db: RedisDB) -> None:
    app = compare(open_page, api_url, ActedRun(db).run_id, ActedRun(db).run_id)
    assert "They have the same parameters" in texts(app)
    assert "None of them has reported a metric yet." in texts(app)
    app.toggle(key="allparams").set_value(True).run()
    assert "learning_rate" in set(tables(app)[1]["Parameter"])


def test_a_run_that_is_not_there_is_named_and_the_others_are_compared(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    runs = [ActedRun(db).run_id, ActedRun(db).run_id]
    app = compare(open_page, api_url, runs[0], "0" * 32, runs[1], runs[1])
    assert "0" * 32 in app.warning[0].value
    assert list(tables(app)[0]["id"]) == [run_id[:8] for run_id in runs]


def test_one_run_is_no_comparison_and_more_than_twenty_are_too_many(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    runs = [begin(db, name=f"run {number}") for number in range(22)]
    app = compare(open_page, api_url, runs[0])
    assert "Choose two to twenty runs" in texts(app)
    assert not app.dataframe
    many = compare(open_page, api_url, *runs)
    assert "the first 20 of 22" in texts(many)
    assert len(tables(many)[0]) == 20


def test_a_choice_is_in_the_address(open_page: Open, api_url: str, db: RedisDB) -> None:
    runs = [begin(db, name=f"run {number}") for number in range(3)]
    app = compare(open_page, api_url, runs[0])
    app.multiselect(key="compare:choice").set_value([runs[0], runs[2]]).run()
    assert not app.exception
    assert app.query_params["run"] == [runs[0], runs[2]]
    assert list(tables(app)[0]["id"]) == [runs[0][:8], runs[2][:8]]


def test_curves_over_energy_say_which_runs_do_not_know_theirs(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    known, unknown = ActedRun(db), ActedRun(db)
    known.record(2)
    known.record(1, quality=None)
    unknown.record(2, quality=None)
    script = begin(db, name="mine")
    report(db, script, train_loss=[2.0, 1.0], energy_kwh=[0.25, 0.25])
    settings = {"axis": "Energy", "metric": ["train_loss"], "smooth": "Exponential", "logy": "true"}
    app = compare(open_page, api_url, known.run_id, unknown.run_id, script, **settings)
    (drawn,) = charts(app).values()
    sizes = {name: len(curve["x"]) for name, curve in drawn.items() if "mine" in name or "small" in name}
    assert list(sizes.values()) == [2, 0, 2]
    assert "its energy is known up to step 2 only" in texts(app)
    assert f"{unknown.run_id[:4]}: not drawn, its energy is not known" in texts(app)
    assert "Exponential moving mean of weight 0.6, bias-corrected" in texts(app)


def test_runs_of_a_tag_are_compared_as_wholes_and_by_group(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    runs = [begin(db, name="mine", tags=["sweep:x"], params={"lr": lr, "seed": n}) for n, lr in SEEDED]
    for number, run_id in enumerate(runs):
        report(db, run_id, val_accuracy=[0.5 + number / 8])
    begin(db, name="another", tags=["sweep:xy"])
    app = open_page("compare", api_url, tag="sweep:x", view="Groups", by="all but the seed")
    assert not app.exception
    assert set(app.query_params["run"]) == set(runs)
    groups = next(table for table in tables(app) if "Group" in table)
    assert sorted(map(tuple, groups[["Group", "n"]].to_numpy().tolist())) == [("lr 0.1", 2), ("lr 0.2", 1)]
    assert cells(groups, "lr 0.1")[2] == "56.25", "the median of 50 and 62.5 %"
    app.segmented_control(key="view").set_value("Parallel").run()
    assert not app.exception
    assert len(charts(app)["Parallel coordinates"]) == 3
    app.segmented_control(key="view").set_value("Scatter").run()
    assert not app.exception
    assert list(charts(app)) == ["best accuracy against duration"]
