"""Which requests can only come from this machine, and what each route asks of a token."""

from __future__ import annotations

from pathlib import Path

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from api.access.door import shown_secret
from api.access.scopes import RULES, STRICTEST, Reach, is_audited, rule_of
from api.access.strangers import reason_for_token
from backend import create_app
from redis_db import RedisDB
from schema.access import Scope
from settings import Settings


def request(peer: str = "127.0.0.1", *, protocol: str = "HTTP/1.1", **headers: str) -> Request:
    builder = EnvironBuilder(headers=list(({"Host": "localhost:5000"} | headers).items()))
    environ = builder.get_environ() | {"REMOTE_ADDR": peer, "SERVER_PROTOCOL": protocol}
    return Request(environ)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_a_program_of_this_machine_needs_no_token(peer: str, host: str) -> None:
    assert reason_for_token(request(peer, Host=host)) is None


@pytest.mark.parametrize(
    "peer", ["10.0.0.7", "192.168.1.2", "8.8.8.8", "::ffff:10.0.0.7", "fe80::1%eth0", ""]
)
def test_whoever_calls_from_elsewhere_needs_one(peer: str) -> None:
    assert "another machine" in (reason_for_token(request(peer)) or "")


@pytest.mark.parametrize(
    "name",
    [
        *("X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything", "Forwarded", "Via", "X-Real-IP"),
        *("X-Client-IP", "True-Client-IP", "CF-Connecting-IP"),
    ],
)
@pytest.mark.parametrize("value", ["127.0.0.1", ""])
def test_whatever_came_through_a_proxy_needs_one(name: str, value: str) -> None:
    assert "proxy" in (reason_for_token(request(**{name: value})) or "")


def test_a_proxy_that_says_nothing_is_known_by_its_old_http() -> None:
    assert "HTTP/1.0" in (reason_for_token(request(protocol="HTTP/1.0")) or "")


@pytest.mark.parametrize("host", ["wattle.lab", "localhost.evil.example", "10.0.0.7:5000", "0.0.0.0:1", ""])
def test_whoever_calls_it_by_another_name_needs_one(host: str) -> None:
    assert "own name" in (reason_for_token(request(Host=host)) or "")


def test_every_route_says_what_it_asks_of_a_token(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), RedisDB())
    routes = list(app.url_map.iter_rules())
    assert {route.endpoint for route in routes} == RULES.keys()
    for route in routes:
        rule = RULES[route.endpoint]
        is_write = bool({"POST", "PUT", "PATCH", "DELETE"} & (route.methods or set()))
        # These are asked for with POST and change nothing of anybody.
        asks_only = route.endpoint in {"live.issue_ticket", "accounts.predict", "sweeps.predict_a_sweep"}
        assert not is_write or asks_only or rule.scope in (Scope.SUBMIT, Scope.ADMIN), route
        assert rule.reach is not Reach.RUN or "iid" in route.arguments, route


def test_a_route_that_nobody_has_thought_of_is_for_admins() -> None:
    assert rule_of("new.route") == STRICTEST
    assert is_audited("new.route", "POST")


def test_deletions_of_runs_and_files_drains_and_tokens_are_for_admins() -> None:
    for endpoint in ("controls.delete_run", "artifacts.delete_artifact", "registry.delete_version"):
        assert RULES[endpoint].scope is Scope.ADMIN
    for endpoint in ("workers.drain_worker", "tokens.create_token", "retention.apply_retention"):
        assert RULES[endpoint].scope is Scope.ADMIN


def test_each_scope_covers_those_before_it() -> None:
    covered = {(a, b) for a in Scope for b in Scope if a.covers(b)}
    assert (Scope.ADMIN, Scope.SUBMIT) in covered
    assert (Scope.SUBMIT, Scope.READ) in covered
    assert (Scope.READ, Scope.SUBMIT) not in covered
    assert (Scope.SUBMIT, Scope.ADMIN) not in covered


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer  abc "}, "abc"),
        ({"Authorization": "Basic abc"}, None),
        ({"Upgrade": "websocket", "Sec-WebSocket-Protocol": "wattle, wattle.token.abc"}, "abc"),
        ({"Sec-WebSocket-Protocol": "wattle, wattle.token.abc"}, None),
        ({"Cookie": "token=abc"}, None),
    ],
)
def test_a_token_is_taken_from_a_header_and_from_a_websocket_s_protocols(
    headers: dict[str, str], secret: str | None, tmp_path: Path
) -> None:
    app = create_app(Settings(data_dir=tmp_path), RedisDB())
    with app.test_request_context("/?token=url", headers=headers):
        assert shown_secret() == secret
