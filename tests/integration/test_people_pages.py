"""What people add to runs on the pages: searches, saved views, stars, groups and notes."""

from __future__ import annotations

import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from redis_db import RedisDB
from schema import RunOptions
from tests.acted_run import HYPER_PARAMS, ActedRun
from tests.integration.test_views import Open, api_url, open_page, shown_notes, texts

__all__ = ["api_url", "open_page"]


def shown(app: AppTest) -> list[str]:
    return [str(name) for name in app.dataframe[0].value["id"]] if app.dataframe else []


def press(app: AppTest, label: str) -> None:
    button = next(button for button in app.button if isinstance(button, Button) and button.label == label)
    button.click().run()


def test_a_search_goes_to_all_runs_and_a_mistake_is_told_at_the_box(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    first, _ = ActedRun(db, network="resnet9"), ActedRun(db, network="small_cnn")

    app = open_page("runs", api_url, q="network:resnet9")
    assert shown(app) == [first.run_id[:8]]
    app.text_input(key="q").set_value("acuracy>0.9").run()
    assert not app.dataframe
    assert "At character 1, 'acuracy': no field" in texts(app)
    assert "did you mean accuracy" in texts(app)
    app.text_input(key="q").set_value("-network:resnet9").run()
    assert len(shown(app)) == 1


def test_a_view_is_saved_and_opened_by_its_link(open_page: Open, api_url: str, db: RedisDB) -> None:
    wanted, _ = ActedRun(db, network="resnet9"), ActedRun(db, network="small_cnn")
    app = open_page("runs", api_url, q="network:resnet9", order="asc")
    app.text_input(key="view_name:None").set_value("Mine: 1 & 2").run()
    press(app, "Save the view")
    assert app.query_params["view"] == "Mine: 1 & 2"
    (view,) = db.views.list()
    assert (view.q, view.order) == ("network:resnet9", "asc")

    other = open_page("runs", api_url, view="Mine: 1 & 2")
    assert other.text_input(key="q").value == "network:resnet9"
    assert shown(other) == [wanted.run_id[:8]]
    # What the link says itself counts.
    assert len(shown(open_page("runs", api_url, view="Mine: 1 & 2", q="network:*"))) == 2

    press(other, "Delete this view")
    assert db.views.list() == []
    assert "There is no saved view gone here." in texts(open_page("runs", api_url, view="gone"))


def test_a_view_keeps_the_columns_of_its_table_in_their_order(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    ActedRun(db)
    app = open_page("runs", api_url)
    usual = list(app.dataframe[0].value)
    app.multiselect(key="columns").set_value(["Queue", "CO₂", "Best"]).run()
    assert list(app.dataframe[0].value) == ["color", "run", "status", "queue", "co2", "best"]
    app.text_input(key="view_name:None").set_value("Costs").run()
    press(app, "Save the view")
    assert not app.exception
    assert db.views.list()[0].columns == ("queue", "co2", "best")

    other = open_page("runs", api_url, view="Costs")
    assert list(other.dataframe[0].value) == ["color", "run", "status", "queue", "co2", "best"]
    other.multiselect(key="columns").set_value([]).run()
    assert list(other.dataframe[0].value) == usual


def test_all_runs_that_match_are_counted_and_put_into_a_group(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    mine = [db.queue.submit(HYPER_PARAMS, RunOptions(project="mine")).run_id for _ in range(3)]
    other = db.queue.submit(HYPER_PARAMS, RunOptions(tags=("group=old",))).run_id
    app = open_page("runs", api_url, q="project:mine")
    press(app, "All 3 runs …")
    assert "**3 runs** match project:mine." in texts(app)
    press(app, "Star 3 runs")
    assert [db.runs.get(run_id).starred for run_id in (*mine, other)] == [True, True, True, False]


def test_a_run_gets_a_star_and_its_note_is_markdown_that_can_be_edited(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    run_id = ActedRun(db).run_id
    note = db.external.add_note(run_id, "**good** <b>x</b> ![p](http://evil/p.png)").note
    app = open_page("run", api_url, iid=run_id)
    press(app, "Star")
    assert db.runs.get(run_id).starred
    (body,) = shown_notes(app)
    assert "<strong>good</strong> &lt;b&gt;x&lt;/b&gt;" in body
    assert "<img" not in body

    db.external.edit_note(run_id, note.note_id, "better")
    st.cache_data.clear()  # a page may be two seconds old
    assert "edited" in texts(open_page("run", api_url, iid=run_id))
