"""The run page's pictures, histograms and network, without a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from redis_db import RedisDB
from schema import HistogramsRequest
from tests.integration.test_external_pages import begin
from tests.integration.test_views import (
    Open,
    api_url,
    asked,
    button,
    metric,
    open_page,
    shown_notes,
    silent,
    texts,
)
from tests.pictures import picture
from tests.sent_files import network, send
from views import artifact_source
from views.run import layers

__all__ = ["api_url", "asked", "open_page"]


def slider(app: AppTest) -> Any:
    return next(found for found in app.select_slider if found.label == "Step")


def test_a_run_that_shows_nothing_has_no_such_section(open_page: Open, api_url: str, db: RedisDB) -> None:
    app = open_page("run", api_url, iid=begin(db))
    assert not app.exception
    assert not {"Images", "Histograms", "Graph"} & {header.value for header in app.subheader}
    assert not app.select_slider


def test_pictures_are_seen_step_by_step_and_the_newest_at_first(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    run_id = begin(db)
    for step, size in ((0, 8), (10, 9), (20, 10)):
        send(api_url, run_id, "confusion", picture(size), kind="image", step=step)
    send(api_url, run_id, "late", picture(16), kind="image", step=15)
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert slider(app).options == ["0", "10", "15", "20"]
    assert "**confusion** · step 20" in texts(app)
    assert "**late** · step 15" in texts(app)

    slider(app).set_value(10).run()
    assert not app.exception
    assert "**confusion** · step 10" in texts(app)
    assert "**late** · nothing up to this step" in texts(app)


def test_the_slider_stays_at_the_end_when_it_stands_there(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    for step in (0, 10):
        send(api_url, run_id, "confusion", picture(8 + step), kind="image", step=step)
    app = open_page("run", api_url, iid=run_id)
    send(api_url, run_id, "confusion", picture(40), kind="image", step=20)
    artifact_source.forget()
    app.run()
    assert slider(app).value == 20

    slider(app).set_value(0).run()
    send(api_url, run_id, "confusion", picture(41), kind="image", step=30)
    artifact_source.forget()
    app.run()
    assert not app.exception
    assert slider(app).value == 0, "who looks at an older picture goes on doing so"
    assert "**confusion** · step 0" in texts(app)


def test_pictures_without_a_step_are_seen_by_version(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    for size in (8, 9):
        send(api_url, run_id, "drawing.png", picture(size), kind="image")
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert "version 2" in texts(app)


@pytest.mark.parametrize("count", [6, 7])
def test_of_many_pictures_some_are_chosen(open_page: Open, api_url: str, db: RedisDB, count: int) -> None:
    run_id = begin(db)
    for number in range(count):
        send(api_url, run_id, f"picture{number}", picture(8 + number), kind="image")
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert [found.label for found in app.multiselect] == ["Pictures"] * (count > 6)
    assert "picture5" in texts(app)
    assert "picture6" not in texts(app)


def test_a_network_is_a_table_and_a_picture(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    send(api_url, run_id, "graph", network("stem", "block.0", "block.1", "head"), kind="graph")
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert "Graph" in [header.value for header in app.subheader]
    assert (metric(app, "Layers"), metric(app, "Parameters"), metric(app, "Made")) == ("4", "440", "PyTorch")
    table = next(frame.value for frame in app.dataframe if "Layer" in frame.value)
    assert list(table["Layer"]) == ["stem", "block.0", "block.1", "head"]
    drawn = str(app.get("graphviz_chart")[0].proto.spec)
    assert 'label="block.1\\nLinear · 110\\n1 × 10"' in drawn
    depth = next(found for found in app.select_slider if found.label == "Detail")
    depth.set_value(1).run()
    drawn = str(app.get("graphviz_chart")[0].proto.spec)
    assert 'label="block\\n2 layers · 220\\n1 × 10"' in drawn


def test_the_boxes_of_a_network_are_put_together_once(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(db)
    send(api_url, run_id, "graph", network("stem", "block.0", "block.1", "head"), kind="graph")
    app = open_page("run", api_url, iid=run_id)
    first = str(app.get("graphviz_chart")[0].proto.spec)
    for name in ("depths", "good_depth", "boxes"):
        monkeypatch.setattr(layers, name, silent)
    app.run()
    assert not app.exception
    assert str(app.get("graphviz_chart")[0].proto.spec) == first
    monkeypatch.undo()
    send(api_url, run_id, "graph", network("stem", "head"), kind="graph")
    artifact_source.forget()
    app.run()
    assert "block" not in str(app.get("graphviz_chart")[0].proto.spec), "another version is another picture"


def test_why_a_network_is_not_drawn_is_said(
    open_page: Open, api_url: str, db: RedisDB, tmp_path: Path
) -> None:
    run_id = begin(db)
    send(api_url, run_id, "graph", network("stem", "head"), kind="graph")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file() and run_id in str(path))
    file.unlink()
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert "Graph" in [header.value for header in app.subheader]
    assert not app.get("graphviz_chart")
    assert any("graph" in caption.value and "version 1" in caption.value for caption in app.caption)


def test_one_of_several_is_drawn_and_the_link_says_which(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    send(api_url, run_id, "confusion", picture(8), kind="image", step=0)
    send(api_url, run_id, "graph", network("stem", "head"), kind="graph")
    app = open_page("run", api_url, iid=run_id)
    assert "**confusion**" in texts(app)
    assert not app.get("graphviz_chart")
    app = open_page("run", api_url, iid=run_id, media="Graph")
    assert not app.exception
    assert "**confusion**" not in texts(app)
    assert app.get("graphviz_chart")


def test_tags_are_changed_on_the_page(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db, tags=["arch=resnet18", "first try"])
    app = open_page("run", api_url, iid=run_id)
    app.session_state[f"edit_tags:{run_id}"] = True
    app.run()
    tags = next(found for found in app.multiselect if found.label == "Tags")
    tags.set_value(["arch=resnet18"]).run()
    assert not app.exception
    assert db.runs.get(run_id).options.tags == ("arch=resnet18",)
    tags = next(found for found in app.multiselect if found.label == "Tags")
    assert tags.value == ["arch=resnet18"]
    assert ":gray-badge[arch=resnet18]" in texts(app)
    assert "first try" not in texts(app)


def test_a_note_is_deleted_on_the_page(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    notes = [db.external.add_note(run_id, text).note for text in ("wrong", "right")]
    app = open_page("run", api_url, iid=run_id)
    app.session_state[f"delete_note:{run_id}:{notes[0].note_id}"] = True
    app.run()
    button(app, "Delete it").click().run()
    assert not app.exception
    assert [note.text for note in db.external.list_notes(run_id)] == ["right"]
    assert shown_notes(app) == ["<p>right</p>"]


def report_histograms(db: RedisDB, run_id: str, *names: str, steps: int = 3, seq: int = 1) -> None:
    histograms = [
        {"name": name, "step": 10 * step, "time": 0.0, "edges": [-1.0, 0.0, 1.0], "counts": [step, 5]}
        | ({"nonfinite": 7} if step == 1 else {})
        for name in names
        for step in range(steps)
    ]
    body = HistogramsRequest.model_validate({"session": "s", "seq": seq, "histograms": histograms})
    db.histograms.record(run_id, body)


def test_histograms_are_drawn_as_ridges_and_as_a_heat_map(open_page: Open, api_url: str, db: RedisDB) -> None:
    run_id = begin(db)
    report_histograms(db, run_id, "fc/weight")
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert "Histograms" in [header.value for header in app.subheader]
    assert "Values that are NaN or infinite are left out: fc/weight (at step 10, up to 7 values)." in texts(
        app
    )
    assert not app.get("plotly_chart")
    groups: list[Any] = list(app.get("button_group"))
    look = next(found for found in groups if "Ridges" in str(found.options))
    look.set_value("Heat map").run()
    assert not app.exception
    drawn = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert drawn["data"][0]["x"] == ["0", "10", "20"]


@pytest.mark.parametrize("count", [4, 5])
def test_of_many_histograms_some_are_chosen(open_page: Open, api_url: str, db: RedisDB, count: int) -> None:
    run_id = begin(db)
    report_histograms(db, run_id, *(f"layer{number}" for number in range(count)))
    app = open_page("run", api_url, iid=run_id)
    assert not app.exception
    assert [found.label for found in app.multiselect] == ["Histograms"] * (count > 4)


def test_histograms_are_read_again_only_when_there_are_more(
    open_page: Open, api_url: str, db: RedisDB, asked: list[str]
) -> None:
    run_id = begin(db)
    report_histograms(db, run_id, "fc/weight", "fc/bias")
    app = open_page("run", api_url, iid=run_id)
    names = {name for address in asked for name in ("weight", "bias") if name in address}
    assert names == {"weight", "bias"}
    asked.clear()
    artifact_source.list_histograms.clear()
    report_histograms(db, run_id, "fc/weight", steps=1, seq=2)
    app.run()
    assert not app.exception
    listed, *read = [address for address in asked if "/api/histograms/" in address]
    assert "name=" not in listed
    assert ["weight" in address for address in read] == [True]
