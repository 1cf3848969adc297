"""The pages of runs that their own scripts report, without a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from redis_db import RedisDB
from schema import ExperimentRequest, MetricPoints, PointsRequest, RunError, Status
from tests.integration.test_views import Open, api_url, metric, open_page, shown_notes, texts

__all__ = ["api_url", "open_page"]

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def begin(db: RedisDB, **more: Any) -> str:
    request = ExperimentRequest.model_validate({"name": "resnet50_training", **more})
    return db.external.begin(request).run.run_id


def report(db: RedisDB, run_id: str, **metrics: list[Any]) -> None:
    points = {
        name: MetricPoints(steps=list(range(len(own))), values=own, times=[0.0] * len(own))
        for name, own in metrics.items()
    }
    seq = 1 + sum(known.count for known in db.metrics.list(db.runs.get(run_id)))
    db.metrics.record(run_id, PointsRequest(session="s", seq=seq, points=points), at=NOW)


def test_the_list_shows_an_external_run_by_its_name(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    report(db, run_id, val_accuracy=[0.5, 0.75])
    ended = begin(db, name="other")
    db.external.end(ended, Status.DONE)
    app = open_page("runs", api_url)
    table = app.dataframe[0].value.set_index("id")
    assert not app.exception
    assert table.loc[run_id[:8], "run"] == "resnet50_training"
    assert table.loc[run_id[:8], "best"] == 75
    assert table["progress"].isna().all(), "a script that does not say how long it is has no bar"
    found = open_page("runs", api_url, q="resnet50_tr")
    assert list(found.dataframe[0].value["id"]) == [run_id[:8]]


def test_the_page_of_an_external_run_shows_what_its_script_says(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    run_id = begin(db, params={"lr": 0.1, "model": {"depth": 50}}, tags=["arch=resnet50"])
    report(db, run_id, train_loss=[2.0, "NaN", 1.0], val_loss=[2.5], val_accuracy=[0.5], energy_kwh=[0.25])
    db.external.add_note(run_id, "the *second* try")
    app = open_page("run", api_url, iid=run_id)
    shown = texts(app)
    assert not app.exception
    assert "resnet50_training" in shown
    assert "Reported by its own script" in shown
    assert "arch=resnet50" in shown
    assert "Gaps are values that are NaN or infinite: train_loss (1)." in shown
    assert (metric(app, "Best accuracy"), metric(app, "Last loss")) == ("50.00 %", "2.5000")
    assert metric(app, "Energy") == "250 Wh"
    assert [tab.label for tab in app.tabs] == [
        "Metrics",
        "Parameters",
        "Environment",
        "Log",
        "Notes",
        "System",
    ]
    frames = [frame.value for frame in app.dataframe]
    assert list(frames[0]["Metric"]) == ["energy_kwh", "train_loss", "val_accuracy", "val_loss"]
    assert dict(zip(frames[1]["Name"], frames[1]["Value"], strict=True))["lr"] == "0.1"
    names = set(frames[2]["Name"])
    assert "last heard of" in names
    assert not names & {"queue", "priority", "worker"}
    assert shown_notes(app) == ["<p>the <em>second</em> try</p>"]
    buttons = {button.label for button in app.button}
    assert "Cancel" in buttons
    assert not buttons & {"Pause", "Give up its place", "Rerun", "Retry"}


def test_a_run_that_has_ended_can_be_deleted_only(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    error = RunError(kind="ValueError", message="bad shape")
    db.external.end(run_id, Status.FAILED, error=error)
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert "ValueError" in app.error[0].value
    assert "not tried again" not in texts(app)
    assert "It has reported no metric." in texts(app)
    buttons = {button.label for button in app.button}
    assert "Delete" in buttons
    assert not buttons & {"Retry", "Rerun", "Cancel"}


def test_a_note_is_added_on_the_page(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    app = open_page("run", api_url, iid=run_id)
    app.text_area[0].set_value("  look at step 7 ").run()
    next(button for button in app.button if button.label == "Add the note").click().run()
    assert not app.exception
    assert [note.text for note in db.external.list_notes(run_id)] == ["look at step 7"]
    assert shown_notes(app) == ["<p>look at step 7</p>"]
    assert app.text_area[0].value == ""


@pytest.mark.parametrize("count", [8, 9, 45])
def test_many_metrics_are_chosen_from(open_page: Open, api_url: str, db: RedisDB, count: int) -> None:
    run_id = begin(db)
    report(db, run_id, **{f"m{number:02}": [1.0] for number in range(count)})
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert len(app.multiselect) == (count > 8)
    if count > 8:
        assert app.multiselect[0].value == [f"m{number:02}" for number in range(8)]
        app.multiselect[0].set_value([f"m{number:02}" for number in range(count)]).run()
        assert not app.exception
