"""The page Access without a browser: the real API on a real store, Streamlit's own test runner in front."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from werkzeug.serving import make_server

from backend import create_app
from redis_db import RedisDB
from schema.access import NewToken, Scope, TokenRequest
from schema.quotas import QuotaLimits
from settings import Settings
from tests.integration import test_views
from tests.integration.test_views import Open, button, texts
from tests.records import claim

open_page = test_views.open_page
api_url = test_views.api_url
Serve = Callable[..., str]


@pytest.fixture
def locked_url(db: RedisDB, tmp_path: Path) -> Iterator[str]:
    """The API in a thread of this process, which wants a token of everybody."""
    app = create_app(Settings(data_dir=tmp_path, require_token=True), db)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def made(db: RedisDB, name: str = "ci", scope: Scope = Scope.ADMIN, **given: Any) -> NewToken:
    return db.tokens.create(TokenRequest(name=name, scope=scope, **given))


def field(app: AppTest, label: str) -> Any:
    widgets = (*app.text_input, *app.selectbox, *app.number_input, *app.toggle)
    return next(found for found in widgets if found.label == label)


def state_of(app: AppTest) -> str:
    """All that the session keeps, the last answers of the API included."""
    return str(app.session_state)


def test_on_this_machine_the_page_says_that_tokens_are_off(open_page: Open, api_url: str) -> None:
    app = open_page("access", api_url)
    assert not app.exception
    assert "Tokens are off on this machine" in app.info[0].value
    assert "WATTLE_REQUIRE_TOKEN" in app.info[0].value
    assert "No tokens yet" in app.info[1].value


def test_a_token_is_made_shown_once_and_revoked(open_page: Open, api_url: str, db: RedisDB) -> None:
    app = open_page("access", api_url)
    button(app, "New token").click().run()
    field(app, "Name").set_value("night *job*").run()
    field(app, "Scope").set_value(Scope.SUBMIT).run()
    field(app, "Project").set_value("vision").run()
    button(app, "Make it").click().run()
    assert not app.exception
    (secret,) = [code.value for code in app.code]
    found = db.tokens.find(secret)
    assert found is not None
    assert (found[0].name, found[0].scope, found[0].project) == ("night *job*", "submit", "vision")
    assert "night *job*" in state_of(app)
    assert secret not in state_of(app)
    assert secret not in str(app.query_params)

    button(app, "Done").click().run()
    assert (app.code.len, len(db.tokens.list())) == (0, 1)
    assert secret not in texts(app)
    assert "night *job*" in texts(app)
    button(app, "Revoke").click().run()
    assert "This cannot be undone" in texts(app)
    button(app, "Revoke it").click().run()
    assert not app.exception
    assert db.tokens.list() == []
    assert [entry.action for entry in db.audit.list()] == ["tokens.create_token", "tokens.revoke_token"]


def test_what_the_form_cannot_take_is_said_and_no_token_is_made(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    app = open_page("access", api_url)
    button(app, "New token").click().run()
    field(app, "Project").set_value("no/such").run()
    button(app, "Make it").click().run()
    assert "name: " in texts(app)
    assert "project: " in texts(app)
    assert db.tokens.list() == []


def test_tokens_are_found_by_name_and_shown_in_parts(open_page: Open, api_url: str, db: RedisDB) -> None:
    for number in range(30):
        made(db, f"robot {number}")
    app = open_page("access", api_url)
    assert len([each for each in app.button if each.label == "Revoke"]) == 25
    button(app, "Show more of 30").click().run()
    assert len([each for each in app.button if each.label == "Revoke"]) == 30
    app = open_page("access", api_url, find="robot 17")
    assert len([each for each in app.button if each.label == "Revoke"]) == 1
    assert "robot 17" in texts(app)


def test_a_quota_is_set_shown_with_its_use_changed_and_removed(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    db.queue.submit({"num_epochs": 1})
    app = open_page("access", api_url, show="Quotas")
    assert "No quotas yet" in texts(app)
    button(app, "New quota").click().run()
    button(app, "Save").click().run()
    assert "one limit at least" in texts(app)
    field(app, "Project").set_value("default").run()
    field(app, "Waiting runs").set_value(4).run()
    field(app, "Energy (Wh) a day").set_value(0.5).run()
    button(app, "Save").click().run()
    assert not app.exception
    assert db.quotas.get("project", "default").limits == QuotaLimits(waiting_runs=4, energy_wh=0.5)
    app.run()
    shown = [(bar.proto.value, bar.proto.text) for bar in app.get("progress")]
    assert shown == [(25, "Waiting runs: 1 of 4"), (0, "Energy today: 0 of 0.500 Wh")]

    button(app, "Change").click().run()
    field(app, "Waiting runs").set_value(1).run()
    button(app, "Save").click().run()
    app.run()
    assert "Waiting runs: 1 of 1: used up" in [bar.proto.text for bar in app.get("progress")]
    button(app, "Remove").click().run()
    button(app, "Remove it").click().run()
    assert not app.exception
    assert db.quotas.list() == []


def test_the_audit_log_is_newest_first_in_pages_and_can_be_searched(
    open_page: Open, api_url: str, db: RedisDB
) -> None:
    for number in range(120):
        who = f"robot {number}"
        db.audit.record(who=who, address="", action="tokens.create_token", target="POST /x", status=201)
    db.audit.record(
        who="page (1)", person="ada@example.org", address="::1", action="a.b", target="GET /y", status=403
    )
    app = open_page("access", api_url, show="Audit")
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["Who"][:2]) == ["ada@example.org via page (1)", "robot 119"]
    assert list(table["Outcome"][:2]) == [["refused"], ["done"]]
    assert table["What"][1] == "create token"
    button(app, "Older").click().run()
    assert next(iter(app.dataframe[0].value["Who"])) == "robot 70"
    button(app, "Older").click().run()
    assert list(app.dataframe[0].value["Who"])[-1] == "robot 0"
    assert "Older" not in [each.label for each in app.button]
    button(app, "Newer").click().run()
    assert next(iter(app.dataframe[0].value["Who"])) == "robot 70"

    field(app, "Find").set_value("ADA@").run()
    assert list(app.dataframe[0].value["Who"]) == ["ada@example.org via page (1)"]


def test_a_run_that_a_quota_holds_says_so_on_its_page(open_page: Open, api_url: str, db: RedisDB) -> None:
    db.quotas.put("project", "default", QuotaLimits(running_runs=1))
    db.queue.submit({"num_epochs": 1})
    held = db.queue.submit({"num_epochs": 1}).run_id
    claim(db)
    app = open_page("run", api_url, iid=held)
    assert not app.exception
    (text,) = [bar.proto.text for bar in app.get("progress")]
    assert "held by the quota running" in text.replace("\\", "")
    assert "project default, which lets 1 run be at work" in text


@pytest.mark.parametrize(
    ("scope", "project", "said"),
    [
        (None, None, "The API wants a token that it knows"),
        (Scope.READ, None, "it has the scope read"),
        (Scope.SUBMIT, None, "it has the scope submit"),
        (Scope.ADMIN, "vision", "of the project vision alone"),
    ],
)
def test_a_page_that_may_not_see_it_says_what_to_do(
    open_page: Open,
    locked_url: str,
    db: RedisDB,
    monkeypatch: pytest.MonkeyPatch,
    scope: Scope | None,
    project: str | None,
    said: str,
) -> None:
    monkeypatch.setenv("WATTLE_API_TOKEN", made(db, scope=scope, project=project).secret if scope else "")
    app = open_page("access", locked_url)
    assert not app.exception
    assert said in app.info[0].value
    assert "wattle token create page --scope admin" in app.info[0].value
    assert app.button.len == 0


def test_with_an_admin_s_token_nothing_is_said_of_this_machine(
    open_page: Open, locked_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_API_TOKEN", made(db, "the page").secret)
    app = open_page("access", locked_url)
    assert app.info.len == 0
    assert "the page" in texts(app)


def test_a_page_whose_token_may_only_look_offers_nothing_else(
    open_page: Open, locked_url: str, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    monkeypatch.setenv("WATTLE_API_TOKEN", made(db, "the page", Scope.READ).secret)
    app = open_page("run", locked_url, iid=run_id)
    assert not app.exception
    assert {
        each.label: each.disabled for each in app.button if each.label in ("Cancel", "Pause", "Star")
    } == {
        "Cancel": True,
        "Pause": True,
        "Star": True,
    }
