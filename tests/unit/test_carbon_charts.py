"""The figures of the page Carbon."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from schema import RunOptions, RunReply, Status
from tests.records import plan
from views.carbon.charts import windows_figure

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(run_id: str, deadline: datetime) -> RunReply:
    return RunReply(
        run_id=run_id,
        iid=run_id,
        hyper_params={},
        options=RunOptions(),
        status=Status.DEFERRED,
        time_added=NOW,
        num_epochs=1,
        progress=0,
        carbon=plan(NOW + 3 * HOUR, deadline=deadline),
    )


def drawn(*runs: RunReply) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(windows_figure(runs, until=NOW + 4 * HOUR, now=NOW, zone=UTC))
    return figure


def test_each_run_has_a_stroke_where_it_has_to_be_done_and_the_time_line_reaches_it() -> None:
    figure = drawn(run("a", NOW + 8 * HOUR), run("b", NOW + 30 * HOUR))
    lines = [trace for trace in figure["data"] if trace["type"] == "scatter"]
    assert [(line["y"][0], line["x"][-1]) for line in lines] == [
        ("a", "2026-03-01T20:00:00"),
        ("b", "2026-03-02T18:00:00"),
    ]
    assert [line["marker"]["symbol"][-1] for line in lines] == ["line-ns-open"] * 2
    assert lines[0]["customdata"][-1] == "Sun 01 Mar, 20:00"
    assert figure["layout"]["xaxis"]["range"][1] > "2026-03-02T18:00:00"


def test_a_deadline_far_away_does_not_squeeze_the_hours_that_are_planned() -> None:
    figure = drawn(run("a", NOW + 8 * HOUR), run("b", NOW + 300 * HOUR))
    far = figure["data"][-1]
    assert far["marker"]["symbol"][-1] == "triangle-right"
    assert far["x"][-1] == figure["layout"]["xaxis"]["range"][1] < "2026-03-01T21:00:00"
    assert far["customdata"][-1] == "Sat 14 Mar, 00:00"


def test_the_room_of_a_run_whose_window_has_begun_is_drawn_from_now_on() -> None:
    begun = run("a", NOW + 8 * HOUR)
    assert begun.carbon is not None
    windows = tuple(each.model_copy(update={"start": NOW - 2 * HOUR}) for each in begun.carbon.windows[:1])
    assert windows
    begun = begun.model_copy(update={"carbon": begun.carbon.model_copy(update={"windows": windows})})
    (line,) = [trace for trace in drawn(begun)["data"] if trace["type"] == "scatter"]
    assert line["x"] == ["2026-03-01T12:00:00", "2026-03-01T20:00:00"]
