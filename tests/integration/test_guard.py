"""Who may call: no web page somebody visits may queue work or read runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from settings import Settings

FRIEND = "https://dash.lab"
SECRET = "of whoever calls it by another name"  # noqa: S105 - of a test


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    names = ("localhost", "::1", "wattle.lab")
    settings = Settings(data_dir=tmp_path, host="10.1.2.3", allowed_hosts=names, admin_token=SECRET)
    client = create_app(settings, db).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {SECRET}"
    return client


@pytest.fixture
def friendly_api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path, allowed_origins=(FRIEND,)), db).test_client()


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5000", "LOCALHOST:1", "[::1]:5000", "[::1]", "wattle.lab", "10.1.2.3:80"]
)
def test_allowed_hosts_are_answered_on_any_port(api: FlaskClient, host: str) -> None:
    assert api.get("/experiments", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:5000",
        "localhost@evil.example",
        "evil@localhost",
        "localhost/evil",
        "localhost?",
        "localhost#",
        "localhost\\evil",
        "[::2]",
        "[::1",
        "::1",
        "localhost:port",
        "localhost:99999",
        "0.0.0.0",  # noqa: S104 - what is tested
        "",
    ],
)
@pytest.mark.parametrize("path", ["/experiments", "/healthz", "/docs", "/openapi.json", "/nothing"])
def test_other_hosts_may_not_even_read(api: FlaskClient, path: str, host: str) -> None:
    reply = api.get(path, headers={"Host": host})
    assert reply.status_code == 403
    assert "WATTLE_ALLOWED_HOSTS" in reply.get_json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:8501"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost", "Host": "localhost:5000"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_queue_nothing(api: FlaskClient, db: RedisDB, headers: dict[str, str]) -> None:
    reply = api.post("/train", json={"num_epochs": 1}, headers=headers)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (403, "forbidden")
    assert db.queue.length() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:5000", "Host": "localhost:5000", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://wattle.lab", "Host": "wattle.lab"},
    ],
)
def test_programs_and_the_api_s_own_page_may_write(api: FlaskClient, headers: dict[str, str]) -> None:
    assert api.post("/train", json={"num_epochs": 1}, headers=headers).status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain; charset=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
    ],
)
def test_only_utf8_json_is_taken(api: FlaskClient, db: RedisDB, content_type: str | None) -> None:
    reply = api.post("/train", data=b'{"num_epochs": 1}', content_type=content_type)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (415, "not_json")
    assert db.queue.length() == 0


def test_a_charset_that_is_utf8_is_taken(api: FlaskClient) -> None:
    reply = api.post("/train", data=b'{"num_epochs": 1}', content_type="application/json; charset=UTF-8")
    assert reply.status_code == 201


def test_without_allowed_origins_no_cors_header_is_ever_sent(api: FlaskClient) -> None:
    for reply in (
        api.get("/experiments", headers={"Origin": FRIEND}),
        api.options("/train", headers={"Origin": FRIEND, "Access-Control-Request-Method": "POST"}),
    ):
        assert not [name for name in reply.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118 - Headers iterates pairs


def test_an_allowed_origin_may_ask_and_write(friendly_api: FlaskClient) -> None:
    asked = friendly_api.options("/train", headers={"Origin": FRIEND})
    wrote = friendly_api.post(
        "/train", json={"num_epochs": 1}, headers={"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
    )
    assert (asked.status_code, wrote.status_code) == (204, 201)
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, DELETE"
    assert asked.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, Idempotency-Key"
    assert wrote.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "Origin" in wrote.headers["Vary"]


def test_another_origin_is_told_nothing(friendly_api: FlaskClient) -> None:
    reply = friendly_api.get("/experiments", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert "Origin" in reply.headers["Vary"]


def test_replies_are_not_sniffed_framed_or_executed(api: FlaskClient) -> None:
    for path in ("/experiments", "/docs", "/nothing"):
        with api.get(path) as reply:
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            policy = reply.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert "script-src 'unsafe-inline'" not in policy
