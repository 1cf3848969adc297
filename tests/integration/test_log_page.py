"""The log on a run's page: followed, stopped, searched, read backwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from errors import ApiUnavailable
from redis_db import RedisDB
from store.log import MOST_SEARCHED
from tests.acted_run import ActedRun
from tests.integration.test_views import Open, api_url, open_page, texts
from views import source

__all__ = ["api_url", "open_page"]


def log_of(app: AppTest) -> dict[str, Any]:
    """What the lines are drawn from."""
    drawn = [element.proto for element in app.get("bidi_component")]
    found: list[dict[str, Any]] = [
        json.loads(proto.json) for proto in drawn if proto.component_name == "wattle_live_log"
    ]
    return found[0] if found else {"lines": []}


def lines_of(app: AppTest) -> list[str]:
    return [text for _, _, text in log_of(app)["lines"]]


def press(app: AppTest, label: str) -> AppTest:
    source.list_log.clear()
    return next(button for button in app.button if button.label == label).click().run()


def again(app: AppTest) -> AppTest:
    source.list_log.clear()
    return app.run()


def search(app: AppTest, words: str) -> AppTest:
    next(field for field in app.text_input if field.label == "Search the log").set_value(words)
    return again(app)


def test_new_lines_appear_until_somebody_stops_them(open_page: Open, api_url: str, db: RedisDB) -> None:
    acted = ActedRun(db)
    app = open_page("run", api_url, iid=acted.run_id)
    assert "The log is empty so far." in texts(app)
    db.log.append(acted.lease, ["one", "<b>two</b>"])
    assert lines_of(again(app)) == ["one", "<b>two</b>"]
    assert "All 2 lines" in texts(app)
    db.log.append(acted.lease, ["three"])
    assert lines_of(again(app))[2:] == ["three"]
    app.toggle[0].set_value(False)
    db.log.append(acted.lease, ["four"])
    assert lines_of(again(app)) == ["one", "<b>two</b>", "three"]
    app.toggle[0].set_value(True)
    assert lines_of(again(app))[3:] == ["four"]
    assert not app.exception


def test_a_long_log_begins_at_its_end_and_is_read_backwards(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    db.log.append(acted.lease, [str(number) for number in range(1_200)])
    app = open_page("run", api_url, iid=acted.run_id)
    assert lines_of(app) == [str(number) for number in range(700, 1_200)]
    assert "The newest 500 lines" in texts(app)
    press(app, "Older lines")
    assert lines_of(app) == [str(number) for number in range(200, 1_200)]
    db.log.append(acted.lease, ["new"])
    assert lines_of(again(app))[0] == "200"
    press(app, "Older lines")
    assert lines_of(app)[0] == "0"
    assert lines_of(app)[-1] == "new"
    assert "All 1\u2009201 lines" in texts(app)
    assert not [button for button in app.button if button.label == "Older lines"]


def test_a_search_goes_back_through_the_whole_log_and_is_followed(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    acted = ActedRun(db)
    db.log.append(acted.lease, ["Loss *1*", *["nothing"] * MOST_SEARCHED])
    app = open_page("run", api_url, iid=acted.run_id)
    search(app, "loss *")
    assert lines_of(app) == []
    assert "“loss *” is not in the newest 2\u2009000 lines." in texts(app)
    press(app, "Search older lines")
    assert (lines_of(app), log_of(app)["words"]) == (["Loss *1*"], "loss *")
    assert "1 line has “loss *”" in texts(app)
    db.log.append(acted.lease, ["nothing", "loss *2*"])
    assert lines_of(again(app)) == ["Loss *1*", "loss *2*"]
    search(app, "nowhere")
    press(app, "Search older lines")
    assert "“nowhere” is not in the log." in texts(app)
    search(app, "")
    assert lines_of(app)[-1] == "loss *2*"
    assert not app.exception


def test_no_line_comes_twice_while_the_api_is_silent(
    open_page: Open, api_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted = ActedRun(db)
    db.log.append(acted.lease, ["one"])
    app = open_page("run", api_url, iid=acted.run_id)

    def silent(*_: object, **__: object) -> None:
        raise ApiUnavailable("No answer.")

    with monkeypatch.context() as patched:
        patched.setattr(source, "list_log", silent)
        for _ in range(2):
            assert lines_of(app.run()) == ["one"]
    db.log.append(acted.lease, ["two"])
    assert lines_of(again(app)) == ["one", "two"]


def test_the_run_of_a_script_has_the_same_log(open_page: Open, api_url: str, db: RedisDB) -> None:
    from tests.integration.test_external_pages import begin

    run_id = begin(db)
    db.external.set_params(run_id, {"lr": 0.1})
    db.external.set_params(run_id, {"lr": 0.2})
    app = open_page("run", api_url, iid=run_id)
    assert lines_of(app) == ["param lr: 0.1 → 0.2"]
