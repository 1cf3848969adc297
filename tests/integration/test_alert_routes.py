"""The routes of alerts: rules are kept, refused with reasons, and no answer shows an address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from api import alerts as routes
from backend import create_app
from redis_db import RedisDB
from schema import Alert
from settings import Settings
from tests.webhook import webhook

SECRET = "Hunter2-Hunter2"  # noqa: S105 - what must not be seen anywhere
RULE = {"name": "Night runs", "condition": {"kind": "run_failed"}, "channels": ["ops"]}
Open = Callable[..., FlaskClient]


@pytest.fixture
def serve(db: RedisDB, tmp_path: Path) -> Open:
    def create(**settings: Any) -> FlaskClient:
        known = {
            "alert_channels": f"ops=jsons://u:{SECRET}@hooks.example.org/{SECRET} chat=tgram://{SECRET}/1"
        }
        return create_app(Settings(_env_file=None, data_dir=tmp_path, **(known | settings)), db).test_client()

    return create


@pytest.fixture
def api(serve: Open) -> FlaskClient:
    return serve()


def test_a_rule_is_kept_changed_and_deleted(api: FlaskClient) -> None:
    added = api.post("/api/alerts/rules", json=RULE)
    assert added.status_code == 201
    rule = added.get_json()
    assert rule["again_after_s"] == 3600
    assert api.get("/api/alerts/rules").get_json()["rules"] == [rule]
    place = f"/api/alerts/rules/{rule['rule_id']}"
    assert api.get(place).get_json() == rule

    renamed = api.post(place, json=RULE | {"name": "Other"}).get_json()
    assert (renamed["name"], renamed["active_since"]) == ("Other", rule["active_since"])
    anew = api.post(place, json=RULE | {"condition": {"kind": "run_finished"}}).get_json()
    assert anew["active_since"] > rule["active_since"]
    off = api.post(place, json=RULE | {"condition": {"kind": "run_finished"}, "is_enabled": False}).get_json()
    assert off["active_since"] == anew["active_since"]
    on = api.post(place, json=RULE | {"condition": {"kind": "run_finished"}}).get_json()
    assert on["active_since"] > off["active_since"]

    assert api.delete(place, json={}).get_json() == on
    assert api.get(place).status_code == 404
    assert api.post(place, json=RULE).status_code == 404
    assert api.delete(place, json={}).status_code == 404
    assert api.get("/api/alerts/rules").get_json()["rules"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nSubject: b"}, "name"),
        ({"condition": {"kind": "wish"}}, "condition"),
        ({"condition": {"kind": "disk", "above": 90}}, "condition.disk.above"),
        (
            {"condition": {"kind": "metric", "metric": "a b", "relation": "above", "threshold": 1}},
            "condition.metric",
        ),
        ({"condition": {"kind": "run_stalled", "for_s": 1}}, "condition.run_stalled.for_s"),
        ({"channels": ["pager"]}, "channels"),
        ({"condition": {"kind": "disk"}, "project": "a"}, "body"),
        ({"condition": {"kind": "co2_budget", "of": "month", "budget_g": 1}, "tag": "a"}, "body"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_field(
    change: dict[str, Any], field: str, api: FlaskClient
) -> None:
    answer = api.post("/api/alerts/rules", json=RULE | change)
    assert answer.status_code == 422
    assert answer.get_json()["error"]["details"][0]["field"].startswith(field)
    assert api.get("/api/alerts/rules").get_json()["rules"] == []


def test_there_is_a_limit_of_rules(api: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.alerts.MAX_RULES", 2)
    assert [api.post("/api/alerts/rules", json=RULE).status_code for _ in range(3)] == [201, 201, 409]
    rule = api.get("/api/alerts/rules").get_json()["rules"][0]
    assert api.post(f"/api/alerts/rules/{rule['rule_id']}", json=RULE).status_code == 200


def test_a_rule_keeps_a_channel_that_the_settings_no_longer_have(serve: Open) -> None:
    rule = serve().post("/api/alerts/rules", json=RULE).get_json()
    later = serve(alert_channels="new=json://127.0.0.1:1")
    place = f"/api/alerts/rules/{rule['rule_id']}"
    assert later.post(place, json=RULE | {"is_enabled": False}).status_code == 200
    assert later.post(place, json=RULE | {"channels": ["ops", "chat"]}).status_code == 422


def test_channels_are_shown_without_what_would_let_others_use_them(api: FlaskClient) -> None:
    answer = api.get("/api/alerts/channels")
    shown = {channel["name"]: channel["address"] for channel in answer.get_json()["channels"]}
    assert shown == {"chat": "tgram://***", "ops": "jsons://hooks.example.org/***"}
    refused = api.post("/api/alerts/rules", json=RULE | {"channels": ["pager"]})
    assert "those are: chat, ops" in refused.get_json()["error"]["message"]
    assert SECRET not in answer.text + refused.text


def test_a_test_says_whether_it_arrived_and_why_not(serve: Open) -> None:
    with webhook() as hook:
        api = serve(alert_channels=f"ops=json://u:{SECRET}@{hook.host}/{SECRET}")
        sent = api.post("/api/alerts/channels/ops/test", json={})
        assert sent.get_json() == {"outcome": "sent", "reason": None}
        hook.status = 404
        failed = api.post("/api/alerts/channels/ops/test", json={})
    assert failed.status_code == 200
    assert failed.get_json()["outcome"] == "failed"
    assert "404" in failed.get_json()["reason"]
    log = api.get("/api/alerts/deliveries")
    assert [entry["outcome"] for entry in log.get_json()["deliveries"]] == ["failed", "sent"]
    assert SECRET not in failed.text + log.text
    assert api.post("/api/alerts/channels/none/test", json={}).status_code == 404


def test_a_channel_apprise_does_not_know_fails_with_a_remedy(serve: Open) -> None:
    api = serve(alert_channels=f"ops=nothing://{SECRET}/x")
    failed = api.post("/api/alerts/channels/ops/test", json={}).get_json()
    assert failed["outcome"] == "failed"
    assert "Correct it in the environment" in failed["reason"]
    assert SECRET not in failed["reason"]


def test_a_test_of_a_hanging_channel_answers_in_time_and_is_one_at_a_time(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "TEST_TIMEOUT_S", 0.5)
    with webhook() as hook:
        api = serve(alert_channels=f"ops=json://{hook.host}")
        hook.is_hanging = True
        answer = api.post("/api/alerts/channels/ops/test", json={})
        assert answer.get_json()["outcome"] == "unanswered"
        assert api.post("/api/alerts/channels/ops/test", json={}).status_code == 409
        hook.stopped.set()
        for thread in threading.enumerate():
            if thread.name == "test of ops":
                thread.join(10)


def test_the_newest_alerts_come_first(api: FlaskClient, db: RedisDB) -> None:
    alerts = [
        Alert(alert_id=f"{n}", rule_id="a", rule_name="a", kind="disk", time=db.now(), title=f"{n}", text="")
        for n in range(5)
    ]
    look = db.alerts.look()
    assert db.alerts.commit(look, look.cursor, {}, alerts)
    found = api.get("/api/alerts?limit=2").get_json()["alerts"]
    assert [alert["title"] for alert in found] == ["4", "3"]
    assert api.get("/api/alerts?limit=0").status_code == 422


def test_a_backend_with_a_wrong_channel_does_not_start_and_does_not_repeat_it(serve: Open) -> None:
    from errors import InvalidInput

    with pytest.raises(InvalidInput) as refused:
        serve(email_notifications="a@example.org", smtp_url=f"https://u:{SECRET}@x")
    assert "WATTLE_SMTP_URL" in str(refused.value)
    assert SECRET not in str(refused.value)
