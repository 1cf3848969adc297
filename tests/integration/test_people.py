"""For whom a page asks: whom the audit log names, and what a stated role takes away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from redis_db import RedisDB
from schema.access import NewToken, Scope, TokenRequest
from settings import Settings

PROXY = {"REMOTE_ADDR": "10.0.0.5"}
RUN = {"num_epochs": 1}


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    settings = Settings(data_dir=tmp_path, refusals_per_minute=3, trusted_proxies=("10.0.0.0/8",))
    return create_app(settings, db).test_client()


def made(db: RedisDB, scope: Scope, **given: Any) -> NewToken:
    return db.tokens.create(TokenRequest(name="the page", scope=scope, **given))


def ask(
    api: FlaskClient, method: str, path: str, token: NewToken | None = None, **given: Any
) -> TestResponse:
    shown = {"Authorization": f"Bearer {token.secret}"} if token else {}
    return api.open(path, method=method, headers=shown | given.pop("headers", {}), **given)


def person(name: str, role: str = "admin") -> dict[str, str]:
    return {"Wattle-Person": name, "Wattle-Role": role}


def test_the_audit_log_names_the_person_where_the_token_may_name_people(
    api: FlaskClient, db: RedisDB
) -> None:
    page, script = made(db, Scope.ADMIN, names_people=True), made(db, Scope.ADMIN)
    for token, name in ((page, "zo%C3%AB@example.org"), (script, "ada@example.org")):
        body = {"name": "x"}
        reply = ask(api, "POST", "/api/tokens", token, json=body, headers=person(name), environ_base=PROXY)
        assert reply.status_code == 201
    assert [(entry.person, entry.who.split(" (")[0]) for entry in db.audit.list()] == [
        ("zoë@example.org", "the page"),
        ("", "the page"),
    ]


def test_a_program_of_this_machine_may_name_people(api: FlaskClient, db: RedisDB) -> None:
    ask(api, "POST", "/api/tokens", json={"name": "x"}, headers=person("ada@example.org"))
    assert [(entry.person, entry.who) for entry in db.audit.list()] == [("ada@example.org", "loopback")]


@pytest.mark.parametrize("names_people", [True, False])
def test_a_stated_role_takes_away_and_never_adds(api: FlaskClient, db: RedisDB, names_people: bool) -> None:
    page = made(db, Scope.SUBMIT, names_people=names_people)

    def codes(role: str) -> list[int]:
        asked = [("GET", "/api/runs", None), ("POST", "/train", RUN), ("GET", "/api/tokens", None)]
        headers = person("bob@example.org", role)
        return [
            ask(api, method, path, page, json=body, headers=headers).status_code
            for method, path, body in asked
        ]

    assert codes("read") == [200, 403, 403]
    assert codes("submit") == codes("admin") == [200, 201, 403]
    told = ask(api, "POST", "/train", page, json=RUN, headers=person("bob@example.org", "read")).get_json()
    assert "needs the role submit" in told["error"]["message"]


def test_a_role_counts_on_this_machine_too(api: FlaskClient) -> None:
    assert ask(api, "POST", "/train", json=RUN, headers={"Wattle-Role": "read"}).status_code == 403
    assert ask(api, "POST", "/train", json=RUN, headers={"Wattle-Role": "submit"}).status_code == 201


def test_deleting_many_runs_for_somebody_is_for_admins(api: FlaskClient, db: RedisDB) -> None:
    run_id = db.queue.submit(RUN).run_id
    body = {"action": "delete", "run_ids": [run_id]}
    refused = ask(api, "POST", "/api/runs/bulk", json=body, headers={"Wattle-Role": "submit"})
    assert refused.status_code == 403
    assert db.runs.get(run_id).run_id == run_id


@pytest.mark.parametrize(
    "headers",
    [
        {"Wattle-Role": "owner"},
        {"Wattle-Role": ""},
        {"Wattle-Person": "%ff"},
        {"Wattle-Person": "a%0Ab"},
        {"Wattle-Person": "\xe9"},
        {"Wattle-Person": "%00"},
        {"Wattle-Person": " "},
        {"Wattle-Person": "x" * 201},
    ],
)
def test_a_header_that_cannot_be_read_is_refused(api: FlaskClient, headers: dict[str, str]) -> None:
    reply = ask(api, "GET", "/api/runs", headers=headers)
    assert reply.status_code == 422
    assert next(iter(headers)) in reply.get_json()["error"]["message"]


def test_everybody_can_ask_who_they_are(api: FlaskClient, db: RedisDB) -> None:
    page = made(db, Scope.SUBMIT, project="vision", names_people=True)
    told = ask(api, "GET", "/api/caller", page, headers=person("ada@example.org", "read")).get_json()
    assert told == {
        "name": f"the page ({page.token_id})",
        "scope": "read",
        "project": "vision",
        "person": "ada@example.org",
        "names_people": True,
        "has_token": True,
    }
    here = ask(api, "GET", "/api/caller").get_json()
    assert (here["name"], here["scope"], here["has_token"]) == ("loopback", "admin", False)


def behind(address: str) -> dict[str, Any]:
    return {"headers": {"X-Forwarded-For": address}, "environ_base": PROXY}


def test_behind_a_trusted_proxy_the_client_s_address_is_limited_and_noted(
    api: FlaskClient, db: RedisDB
) -> None:
    refused = [ask(api, "GET", "/api/runs", **behind("203.0.113.9")).status_code for _ in range(4)]
    assert refused == [401, 401, 401, 429]
    assert ask(api, "GET", "/api/runs", **behind("203.0.113.10")).status_code == 401
    # Who writes more into the header than the proxy does is no other client.
    again = ask(api, "GET", "/api/runs", **behind("198.51.100.1, 203.0.113.9"))
    assert again.status_code == 429
    assert "203.0.113.9" in again.get_json()["error"]["message"]

    # One machine has all addresses of a network of IPv6.
    networks = [f"2001:db8::{n}" for n in range(1, 5)]
    assert [ask(api, "GET", "/api/runs", **behind(each)).status_code for each in networks] == refused
    assert ask(api, "GET", "/api/runs", **behind("2001:db8:0:1::1")).status_code == 401

    token = made(db, Scope.ADMIN)
    ask(api, "POST", "/api/tokens", token, json={"name": "x"}, **behind("2001:db8::7"))
    assert [entry.address for entry in db.audit.list()] == ["2001:db8::7"]


def test_who_is_no_trusted_proxy_cannot_say_another_address(api: FlaskClient, db: RedisDB) -> None:
    token = made(db, Scope.ADMIN)
    headers = {"X-Forwarded-For": "203.0.113.9", "Authorization": f"Bearer {token.secret}"}
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    api.post("/api/tokens", json={"name": "x"}, headers=headers, environ_base=elsewhere)
    assert [entry.address for entry in db.audit.list()] == ["192.0.2.1"]


def test_a_trusted_proxy_on_this_machine_still_needs_a_token(db: RedisDB, tmp_path: Path) -> None:
    api = create_app(Settings(data_dir=tmp_path, trusted_proxies=("127.0.0.1",)), db).test_client()
    assert api.get("/api/runs", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401


def test_the_audit_log_is_paged_and_searched_from_its_newest_end(api: FlaskClient, db: RedisDB) -> None:
    for number in range(1_100):
        db.audit.record(
            who="Ada" if number % 100 == 0 else "bob", address="", action="a", target=f"t{number}", status=200
        )
    page = api.get("/api/audit?limit=3").get_json()
    assert [entry["target"] for entry in page["entries"]] == ["t1097", "t1098", "t1099"]
    older = api.get(f"/api/audit?limit=3&before={page['older']}").get_json()
    assert [entry["target"] for entry in older["entries"]] == ["t1094", "t1095", "t1096"]
    found = api.get("/api/audit?contains=aDa&limit=10").get_json()
    assert [entry["target"] for entry in found["entries"]] == [f"t{n}00" for n in range(1, 11)]
    last = api.get(f"/api/audit?contains=ada&limit=10&before={found['older']}").get_json()
    assert ([entry["target"] for entry in last["entries"]], last["older"]) == (["t0"], None)
    assert api.get("/api/audit?after=1-1&contains=x").status_code == 422
