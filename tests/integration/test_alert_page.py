"""The page Alerts without a browser: the real API on a real store, Streamlit's own test runner in front."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from werkzeug.serving import make_server

from backend import create_app
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.alert_parts import add_rule, alerting, keep_house
from tests.integration import test_views
from tests.integration.test_views import Open, button, texts
from tests.records import running
from tests.webhook import Webhook, webhook
from views import source

open_page = test_views.open_page


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def serve(db: RedisDB, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start the API in a thread of this process, with settings; return its address."""
    servers = []

    def start(**settings: Any) -> str:
        app = create_app(Settings(_env_file=None, data_dir=tmp_path, **settings), db)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def field(app: AppTest, label: str) -> Any:
    return next(found for found in app.text_input if found.label == label)


def captions(app: AppTest) -> list[str]:
    return [str(caption.value) for caption in app.caption]


def test_without_channels_and_rules_the_page_says_what_to_do(
    open_page: Open, serve: Callable[..., str]
) -> None:
    app = open_page("alerts", serve())
    assert not app.exception
    assert "No channel is set up" in app.info[0].value
    assert "WATTLE_SLACK_WEBHOOK_URL" in app.info[0].value
    assert "No rules yet" in app.info[1].value


def test_a_rule_is_made_in_the_form_and_raises_what_the_page_shows(
    open_page: Open, serve: Callable[..., str], db: RedisDB, raw: Any, hook: Webhook
) -> None:
    settings: dict[str, Any] = {"alert_channels": f"ops=json://{hook.host}"}
    app = open_page("alerts", serve(**settings))
    button(app, "New rule").click().run()
    app.selectbox[0].set_value("run_finished").run()
    field(app, "Name").set_value("Done *now*").run()
    button(app, "Save").click().run()

    assert not app.exception
    rule = db.alerts.list_rules()[0]
    assert (rule.name, rule.condition.kind, rule.channels) == ("Done *now*", "run_finished", ("ops",))
    lease = running(db)
    db.queue.finish(lease, Status.DONE)
    keep_house(raw, db, alerting(db, **settings))
    source.forget()
    app.run()
    tables = [found.value for found in app.dataframe]
    assert list(tables[0]["Run"]) == [f"/run?iid={lease.run_id}"]
    assert list(tables[0]["Rule"]) == ["Done *now*"]
    assert list(tables[1]["Outcome"]) == [["sent"]]
    assert "Done *now*" in texts(app)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("metric", {"metric": "test_accuracy", "relation": "below", "threshold": 0.5, "points": 1}),
        ("run_stalled", {"for_s": 1800.0}),
        ("gpu_idle", {"below": 0.05, "for_s": 600.0}),
        ("gpu_hot", {"above_c": 85.0, "for_s": 60.0}),
        ("memory", {"of": "host", "above": 0.95, "for_s": 60.0}),
        ("disk", {"above": 0.9, "for_s": 60.0}),
        ("co2_budget", {"of": "month", "budget_g": 1000.0}),
        ("nan", {}),
        ("worker_lost", {}),
    ],
)
def test_every_kind_of_rule_can_be_made_with_its_defaults_and_opened_again(
    kind: str, changed: dict[str, Any], open_page: Open, serve: Callable[..., str], db: RedisDB
) -> None:
    app = open_page("alerts", serve())
    button(app, "New rule").click().run()
    app.selectbox[0].set_value(kind).run()
    button(app, "Save").click().run()
    assert not app.exception
    assert [rule.condition.model_dump() for rule in db.alerts.list_rules()] == [{"kind": kind, **changed}]
    kept = db.alerts.list_rules()[0]
    button(app, "Edit").click().run()
    button(app, "Save").click().run()
    assert not app.exception
    assert db.alerts.list_rules() == [kept], "saved as it was, nothing has changed"


def test_what_the_form_cannot_keep_is_said_and_nothing_is_kept(
    open_page: Open, serve: Callable[..., str], db: RedisDB
) -> None:
    app = open_page("alerts", serve())
    button(app, "New rule").click().run()
    field(app, "Name").set_value("  ").run()
    button(app, "Save").click().run()
    assert "name: " in texts(app)
    assert db.alerts.list_rules() == []


def test_a_rule_is_switched_off_and_deleted(open_page: Open, serve: Callable[..., str], db: RedisDB) -> None:
    add_rule(db, {"kind": "run_failed"}, channels=("gone",))
    app = open_page("alerts", serve())
    assert "Rules tell gone, and the backend has no such channel" in texts(app)
    app.toggle[0].set_value(False).run()
    assert [rule.is_enabled for rule in db.alerts.list_rules()] == [False]
    button(app, "Delete").click().run()
    button(app, "Delete it").click().run()
    assert not app.exception
    assert db.alerts.list_rules() == []


def test_a_test_says_how_it_ended(open_page: Open, serve: Callable[..., str], hook: Webhook) -> None:
    app = open_page("alerts", serve(alert_channels=f"ops=json://{hook.host}"))
    button(app, "Test").click().run()
    assert hook.titles == ["[Wattle] Test"]
    assert any("The test has arrived at ops" in text for text in captions(app))
    hook.status = 500
    button(app, "Test").click().run()
    assert any("did not reach ops" in text for text in captions(app))


def test_quiet_hours_and_notifications_that_are_off_are_said(
    open_page: Open, serve: Callable[..., str], db: RedisDB
) -> None:
    now = db.now()
    quiet = f"{now:%H}:00-{(now.hour + 2) % 24:02d}:00"
    assert "Quiet hours" in texts(open_page("alerts", serve(quiet_hours=quiet)))
    source.api.clear()  # another address
    st.cache_data.clear()
    app = open_page("alerts", serve(enable_notifications=False))
    assert "WATTLE_ENABLE_NOTIFICATIONS" in texts(app)
