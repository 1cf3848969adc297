"""A run made from another on its page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException

from errors import ApiUnavailable
from redis_db import RedisDB
from schema import Status
from tests.integration import test_control_pages
from tests.integration.test_control_pages import failed
from tests.integration.test_views import Open, button, texts
from views import commands, parts

api_url, open_page = test_control_pages.api_url, test_control_pages.open_page


def test_a_rerun_leads_to_the_new_run(open_page: Open, api_url: str, db: RedisDB) -> None:
    old = failed(db, learning_rate=0.25)
    app = open_page("run", api_url, iid=old.run_id)

    button(app, "Rerun").click().run()
    assert "Nothing is changed." in texts(app)
    assert db.runs.list().total == 1
    button(app, "Queue it").click().run()

    new = db.runs.get(str(app.query_params["iid"]))
    assert (new.rerun_of, new.hyper_params["learning_rate"]) == (old.run_id, 0.25)
    assert db.runs.get(old.run_id).status is Status.FAILED


def rerun_field(widgets: Iterable[Any], name: str) -> Any:
    """Find a field of the dialog by the end of its key."""
    return next(found for found in widgets if str(found.key).endswith(f":{name}"))


def test_a_rerun_with_changed_values_says_what_differs_and_queues_that(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    old = failed(db, learning_rate=0.25, momentum=0.5)
    app = open_page("run", api_url, iid=old.run_id)
    button(app, "Rerun").click().run()
    assert rerun_field(app.number_input, "learning_rate").value == 0.25

    rerun_field(app.number_input, "learning_rate").set_value(0.1)
    rerun_field(app.selectbox, "network").set_value("resnet9")
    rerun_field(app.text_input, "queue").set_value("night")
    app.run()
    rows = app.dataframe[-1].value.set_index("Changed")
    assert {name: list(rows.loc[name]) for name in rows.index} == {
        "Network": ["small_cnn", "resnet9"],
        "Learning rate": ["0.25", "0.1"],
        "Queue": [old.lease.run.options.queue, "night"],
    }
    button(app, "Queue it").click().run()

    new = db.runs.get(str(app.query_params["iid"]))
    changed = {"learning_rate": 0.1, "network": "resnet9"}
    assert (new.rerun_of, new.options.queue) == (old.run_id, "night")
    before = old.lease.run.hyper_params
    assert {name: new.hyper_params[name] for name in before} == before | changed


def test_what_the_api_refuses_of_a_rerun_stands_at_its_field(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    old = failed(db)
    app = open_page("run", api_url, iid=old.run_id)
    button(app, "Rerun").click().run()
    rerun_field(app.text_input, "queue").set_value("high")
    app.run()

    button(app, "Queue it").click().run()

    assert not app.exception
    assert 'no queue may be called "high"' in texts(app)
    assert db.runs.list().total == 1
    rerun_field(app.text_input, "queue").set_value("low")
    app.run()
    button(app, "Queue it").click().run()
    assert db.runs.get(str(app.query_params["iid"])).options.queue == "low"


def test_a_drawing_that_overtakes_a_rerun_neither_drops_nor_repeats_it(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = failed(db)
    app = open_page("run", api_url, iid=old.run_id)
    button(app, "Rerun").click().run()
    give_notice = parts.give_notice
    overtaken: list[str] = []

    def give_notice_overtaken(text: str) -> None:
        if not overtaken:
            overtaken.append(text)
            raise RerunException(RerunData(query_string=f"iid={old.run_id}"))
        give_notice(text)

    monkeypatch.setattr(parts, "give_notice", give_notice_overtaken)
    button(app, "Queue it").click().run()
    app.run()

    assert not app.exception
    assert len(overtaken) == 1
    (new,) = [run for run in db.runs.list().runs if run.rerun_of]
    assert app.query_params["iid"] == new.run_id


def test_a_rerun_that_is_sent_twice_from_one_form_is_one_run(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = failed(db)
    app = open_page("run", api_url, iid=old.run_id)
    button(app, "Rerun").click().run()
    send = commands.rerun

    def lose_the_answer(*asked: Any, **options: Any) -> NoReturn:
        send(*asked, **options)
        raise ApiUnavailable("No answer.")

    with monkeypatch.context() as patched:
        patched.setattr(commands, "rerun", lose_the_answer)
        button(app, "Queue it").click().run()
    assert "it is not known whether the run was queued" in texts(app)
    button(app, "Queue it").click().run()

    (new,) = [run for run in db.runs.list().runs if run.rerun_of]
    assert app.query_params["iid"] == new.run_id
