"""Tokens: who is let in, how far, what of it is kept, and what nobody may find again."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from errors import NotFound
from redis_db import RedisDB
from schema import RunOptions
from schema.access import NewToken, Scope, TokenRequest
from settings import Settings

ELSEWHERE = {"REMOTE_ADDR": "10.0.0.7"}
ADMIN_SECRET = "an admin token of the environment, long"  # noqa: S105 - of a test


@dataclass
class Caller:
    """Somebody on another machine, with a token or without."""

    client: FlaskClient
    secret: str | None = None

    def ask(self, method: str, path: str, **given: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.secret}"} if self.secret else {}
        return self.client.open(
            path, method=method, headers=headers | given.pop("headers", {}), environ_base=ELSEWHERE, **given
        )

    def get(self, path: str, **given: Any) -> TestResponse:
        return self.ask("GET", path, **given)

    def post(self, path: str, body: dict[str, Any], **given: Any) -> TestResponse:
        return self.ask("POST", path, json=body, **given)


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    settings = Settings(data_dir=tmp_path, admin_token=ADMIN_SECRET, refusals_per_minute=5)
    return create_app(settings, db).test_client()


@pytest.fixture
def stranger(api: FlaskClient) -> Caller:
    return Caller(api)


def made(db: RedisDB, scope: Scope = Scope.ADMIN, **given: Any) -> NewToken:
    return db.tokens.create(TokenRequest(name=f"a {scope} token", scope=scope, **given))


def who_has(api: FlaskClient, token: NewToken) -> Caller:
    return Caller(api, token.secret)


def submitted(db: RedisDB, project: str) -> str:
    return db.queue.submit({"num_epochs": 1}, RunOptions(project=project)).run_id


def test_a_stranger_is_told_how_to_make_a_token(stranger: Caller) -> None:
    reply = stranger.get("/api/runs")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (401, "token_needed")
    assert "wattle token create" in reply.get_json()["error"]["message"]
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": "127.0.0.1"}, {"Via": "1.1 proxy"}, {"Forwarded": "x"}]
)
def test_a_proxy_on_this_machine_cannot_open_it(api: FlaskClient, headers: dict[str, str]) -> None:
    assert api.get("/api/runs", headers=headers).status_code == 401
    assert api.get("/api/runs").status_code == 200


def test_a_token_on_loopback_is_only_asked_for_where_that_is_set(db: RedisDB, tmp_path: Path) -> None:
    api = create_app(Settings(data_dir=tmp_path, require_token=True), db).test_client()
    assert api.get("/api/runs").status_code == 401
    shown = {"Authorization": f"Bearer {made(db, Scope.READ).secret}"}
    assert api.get("/api/runs", headers=shown).status_code == 200


def test_a_token_that_is_none_is_refused_on_loopback_too(api: FlaskClient) -> None:
    reply = api.get("/api/runs", headers={"Authorization": "Bearer wattle_wrong"})
    assert reply.status_code == 401
    assert "wattle_wrong" not in reply.get_data(as_text=True)


def test_each_scope_reaches_so_far_and_no_further(api: FlaskClient, db: RedisDB) -> None:
    run = {"num_epochs": 1}
    asked = [("GET", "/api/runs"), ("POST", "/train"), ("GET", "/api/tokens")]
    found = {
        scope: [
            who_has(api, made(db, scope))
            .ask(method, path, json=run if method == "POST" else None)
            .status_code
            for method, path in asked
        ]
        for scope in Scope
    }
    assert found == {
        Scope.READ: [200, 403, 403],
        Scope.SUBMIT: [200, 201, 403],
        Scope.ADMIN: [200, 201, 200],
    }
    refused = who_has(api, made(db, Scope.READ)).post("/train", run).get_json()["error"]["message"]
    assert "scope submit" in refused


def test_deleting_many_runs_is_for_admins_and_cancelling_them_is_not(api: FlaskClient, db: RedisDB) -> None:
    who = who_has(api, made(db, Scope.SUBMIT))
    run_id = submitted(db, "default")
    assert who.post("/api/runs/bulk", {"action": "delete", "run_ids": [run_id]}).status_code == 403
    assert who.post("/api/runs/bulk", {"action": "cancel", "run_ids": [run_id]}).status_code == 200


def test_a_token_is_made_shown_once_listed_and_revoked(api: FlaskClient, db: RedisDB) -> None:
    admin = Caller(api, ADMIN_SECRET)
    reply = admin.post("/api/tokens", {"name": "ci", "scope": "read", "expires_in_days": 1})
    assert reply.status_code == 201
    new = reply.get_json()
    who = Caller(api, new["secret"])
    assert who.get("/api/runs").status_code == 200
    (listed,) = admin.get("/api/tokens").get_json()["tokens"]
    assert "secret" not in listed
    assert listed["token_id"] == new["token_id"]
    assert listed["last_used_at"] is not None

    assert admin.ask("DELETE", f"/api/tokens/{new['token_id']}", json=None, headers=_JSON).status_code == 200
    assert who.get("/api/runs").status_code == 401
    with pytest.raises(NotFound):
        db.tokens.get(new["token_id"])


_JSON = {"Content-Type": "application/json"}


def test_an_expired_token_is_refused(db: RedisDB) -> None:
    token = made(db, expires_in_days=1)
    assert token.expires_at is not None
    assert not token.is_expired(token.expires_at - timedelta(seconds=1))
    assert token.is_expired(token.expires_at)


def test_the_guard_asks_whether_a_token_has_expired(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    token = made(db)
    who = who_has(api, token)
    assert who.get("/api/runs").status_code == 200
    stored = raw.hget("access:tokens", token.token_id)
    assert isinstance(stored, str)
    past = (token.created_at - timedelta(days=1)).isoformat()
    assert token.expires_at is not None
    expires = token.model_dump(mode="json")["expires_at"]
    assert expires in stored
    raw.hset("access:tokens", token.token_id, stored.replace(expires, past))
    assert who.get("/api/runs").status_code == 401


def test_a_secret_whose_hash_only_begins_like_a_token_s_is_none(db: RedisDB, raw: redis.Redis) -> None:
    token = made(db)
    stored = str(raw.hget("access:tokens", token.token_id))
    assert db.tokens.find(token.secret) is not None
    place = stored.index(token.token_id) + 40
    changed = stored[:place] + ("0" if stored[place] != "0" else "1") + stored[place + 1 :]
    raw.hset("access:tokens", token.token_id, changed)
    assert db.tokens.find(token.secret) is None


def test_the_use_of_a_token_is_noted_once_a_minute(db: RedisDB, raw: redis.Redis) -> None:
    token = made(db)
    assert db.tokens.get(token.token_id).last_used_at is None
    db.tokens.find(token.secret)
    first = raw.hget("access:tokens:used", token.token_id)
    raw.config_resetstat()
    db.tokens.find(token.secret)
    assert raw.hget("access:tokens:used", token.token_id) == first
    assert not any("evalsha" in name for name in raw.info("commandstats"))


def test_a_health_check_tells_a_stranger_no_more_than_that_it_works(api: FlaskClient, db: RedisDB) -> None:
    told = Caller(api).get("/healthz").get_json()
    assert (told["status"], told["version"], told["waiting"], told["workers"]) == ("ok", "", None, [])
    submitted(db, "default")
    assert who_has(api, made(db, Scope.READ)).get("/healthz").get_json()["waiting"] == 1


def test_strangers_are_told_401_a_few_times_and_then_when_to_come_again(stranger: Caller) -> None:
    assert [stranger.get("/api/runs").status_code for _ in range(6)] == [401] * 5 + [429]
    reply = stranger.get("/api/runs")
    assert "WATTLE_REFUSALS_PER_MINUTE" in reply.get_json()["error"]["message"]
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert Caller(stranger.client, ADMIN_SECRET).get("/api/runs").status_code == 200


def test_a_token_has_so_many_requests_a_minute_and_loopback_has_no_limit(db: RedisDB, tmp_path: Path) -> None:
    api = create_app(Settings(data_dir=tmp_path, requests_per_minute=60), db).test_client()
    token = made(db, Scope.READ)
    by_address = [Caller(api, token.secret).get("/api/page").status_code for _ in range(61)]
    assert by_address == [200] * 60 + [429]
    reply = api.get(
        "/api/page",
        headers={"Authorization": f"Bearer {token.secret}"},
        environ_base={"REMOTE_ADDR": "10.0.0.8"},
    )
    assert reply.status_code == 429
    assert "the token" in reply.get_json()["error"]["message"]
    assert {api.get("/api/page").status_code for _ in range(70)} == {200}


def test_what_admins_do_is_in_the_audit_log_with_their_names(api: FlaskClient, db: RedisDB) -> None:
    admin = who_has(api, made(db))
    run_id = submitted(db, "default")
    admin.post(f"/api/runs/{run_id}/cancel", {})
    admin.ask("DELETE", f"/api/runs/{run_id}?confirm={run_id}", headers=_JSON)
    api.post("/api/tokens", json={"name": "from this machine"})
    who_has(api, made(db, Scope.READ)).post("/api/tokens", {"name": "no"})
    entries = admin.get("/api/audit").get_json()["entries"]
    assert [(entry["who"].split(" (")[0], entry["action"], entry["status"]) for entry in entries] == [
        ("a admin token", "controls.cancel_run", 200),
        ("a admin token", "controls.delete_run", 200),
        ("loopback", "tokens.create_token", 201),
        ("a read token", "tokens.create_token", 403),
    ]
    assert entries[0]["target"] == f"POST /api/runs/{run_id}/cancel"
    assert "from this machine" in entries[2]["detail"]


@pytest.fixture
def vision(api: FlaskClient, db: RedisDB) -> Caller:
    """Who may reach the project vision alone."""
    return who_has(api, made(db, Scope.ADMIN, project="vision"))


@pytest.mark.parametrize("way", ["/api/runs", "/experiments", "/api/runs?limit=5", "/api/runs?sort=co2_g"])
def test_a_token_of_one_project_lists_and_counts_its_runs_alone(
    vision: Caller, db: RedisDB, way: str
) -> None:
    own, other = submitted(db, "vision"), submitted(db, "speech")
    reply = vision.get(way).get_json()
    assert [run["run_id"] for run in reply["results"]] == [own]
    assert (reply["total"], sum(reply["counts"].values())) == (1, 1)
    assert vision.get("/api/search").get_json()["run_ids"] == [own]
    assert vision.get("/api/runs?project=speech").status_code == 403
    assert other not in vision.get(way).get_data(as_text=True)


def test_a_run_of_another_project_does_not_exist_for_a_token_of_one(vision: Caller, db: RedisDB) -> None:
    own, other = submitted(db, "vision"), submitted(db, "speech")
    assert vision.get(f"/api/runs/{own}").status_code == 200
    told = vision.get(f"/api/runs/{other}")
    nothing = vision.get("/api/runs/nothing")
    assert told.status_code == nothing.status_code == 404
    assert (
        told.get_json()["error"]["message"].replace(other, "nothing")
        == nothing.get_json()["error"]["message"]
    )
    assert vision.post(f"/api/runs/{other}/cancel", {}).status_code == 404
    assert vision.ask("DELETE", f"/api/runs/{other}?confirm={other}", headers=_JSON).status_code == 404
    assert vision.post("/api/live/tickets", {"run_id": other}).status_code == 404
    assert vision.post("/api/live/tickets", {}).status_code == 403
    assert db.runs.get(other).status == "waiting"


def test_what_a_token_of_one_project_queues_is_of_that_project(vision: Caller, db: RedisDB) -> None:
    queued = vision.post("/train", {"hyper_params": {"num_epochs": 1}, "options": {"project": "default"}})
    assert db.runs.get(queued.get_json()["iid"]).options.project == "vision"
    refused = vision.post("/train", {"hyper_params": {"num_epochs": 1}, "options": {"project": "speech"}})
    assert refused.status_code == 403
    begun = vision.post("/api/experiments", {"name": "mine"}).get_json()
    assert begun["options"]["project"] == "vision"
    own = queued.get_json()["iid"]
    moved = vision.post(f"/api/runs/{own}/rerun", {"options": {"project": "speech"}})
    assert moved.status_code == 403


def test_an_idempotency_key_of_another_project_gives_nothing_away(
    vision: Caller, api: FlaskClient, db: RedisDB
) -> None:
    body, key = {"num_epochs": 1}, {"Idempotency-Key": "night-1"}
    speech = who_has(api, made(db, Scope.SUBMIT, project="speech"))
    first = speech.post("/train", body, headers=key).get_json()["iid"]
    assert vision.post("/train", body, headers=key).get_json()["iid"] != first
    assert speech.post("/train", body, headers=key).get_json()["iid"] == first


@pytest.mark.parametrize(
    "path",
    [
        "/api/leaderboard",
        "/api/home",
        "/api/totals",
        "/api/models",
        "/api/workers",
        "/api/tokens",
        "/api/audit",
    ],
)
def test_what_is_about_all_projects_is_refused_to_a_token_of_one(vision: Caller, path: str) -> None:
    reply = vision.get(path)
    assert reply.status_code == 403
    assert "vision" in reply.get_json()["error"]["message"]


def handshake(who: Caller, query: str, protocols: str) -> TestResponse:
    """What a WebSocket is answered by a server that cannot hold it: 503 once it is let in."""
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": protocols,
    }
    return who.get(f"/ws{query}", headers=asked, base_url="ws://localhost")


def test_a_websocket_shows_its_token_among_its_protocols(stranger: Caller, db: RedisDB) -> None:
    token = made(db, Scope.READ)
    assert handshake(stranger, "", "wattle").status_code == 401
    assert handshake(stranger, "", f"wattle, wattle.token.{token.secret}").status_code == 503


def test_a_live_page_opened_with_a_ticket_may_watch_its_view_alone(stranger: Caller, db: RedisDB) -> None:
    run_id, other = submitted(db, "default"), submitted(db, "default")
    ticket = db.live.issue_ticket(run_id, ttl_s=60)
    page = stranger.get(f"/live?run_id={run_id}&ticket={ticket}").get_data(as_text=True)
    shown = re.findall('<meta name="wattle-pass" content="([^"]+)">', page)
    asked = f"wattle, wattle.pass.{shown[0]}"
    assert handshake(stranger, f"?run_id={run_id}", asked).status_code == 503
    assert handshake(stranger, f"?run_id={other}", asked).status_code == 401
    assert handshake(stranger, "", asked).status_code == 401
    assert stranger.get("/api/runs", headers={"Sec-WebSocket-Protocol": asked}).status_code == 401
    with stranger.get(f"/live?run_id={run_id}") as without:
        assert "wattle-pass" not in without.get_data(as_text=True)


def test_a_secret_is_in_no_log_and_nowhere_in_the_store(
    api: FlaskClient, db: RedisDB, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made_here = api.post("/api/tokens", json={"name": "ci", "scope": "admin"}).get_json()
    secret = made_here["secret"]
    who = Caller(api, secret)
    texts = [
        who.get("/api/runs").get_data(as_text=True),
        who.post("/train", {"num_epochs": -1}).get_data(as_text=True),
        who.get("/api/tokens").get_data(as_text=True),
        who.get("/api/audit").get_data(as_text=True),
        Caller(api, secret + "x").get("/api/runs").get_data(as_text=True),
        Caller(api, ADMIN_SECRET).get("/api/audit").get_data(as_text=True),
        caplog.text,
        "".join(_everything(raw)),
    ]
    assert made_here["token_id"] in texts[-1]
    for text in texts:
        assert secret not in text
        assert secret.removeprefix("wattle_") not in text
        assert ADMIN_SECRET not in text


def _everything(raw: redis.Redis) -> Iterator[str]:
    """All that is in the store, as texts."""
    for key in raw.keys("*"):
        yield str(key)
        match raw.type(key):
            case "string":
                yield str(raw.get(key))
            case "hash":
                yield str(raw.hgetall(key))
            case "list":
                yield str(raw.lrange(key, 0, -1))
            case "set":
                yield str(raw.smembers(key))
            case "zset":
                yield str(raw.zrange(key, 0, -1))
            case "stream":
                yield str(raw.xrange(key))
            case kind:
                raise AssertionError(kind)
