"""Requests of the SDK: what is sent, and what an answer means."""

from __future__ import annotations

import gc
import gzip
import json
import ssl
from collections.abc import Callable

import httpx
import pytest

from training_monitor.connection import Connection, default_url
from training_monitor.errors import KeyNeeded, MonitorError, ServerAway, ServerRefused

LONG = {"text": "x" * 5_000}


def asked(url: str, body: dict[str, str], **options: str) -> httpx.Request:
    """Send a body, and return the request."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={})

    Connection(url, transport=httpx.MockTransport(answer)).post("/x", body, **options)
    return requests[0]


def test_a_host_whose_name_begins_like_this_ones_is_another() -> None:
    assert "content-encoding" in asked("http://localhost.example", LONG).headers


def test_to_another_host_long_bodies_are_packed() -> None:
    request = asked("http://wattle.example:5000/", LONG)
    assert str(request.url) == "http://wattle.example:5000/x"
    assert request.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(request.content)) == LONG


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("http://127.0.0.1:5000", LONG),
        ("http://localhost", LONG),
        ("http://[::1]:5000", LONG),
        ("http://a.example", {}),
    ],
)
def test_short_bodies_and_those_to_this_host_are_not(url: str, body: dict[str, str]) -> None:
    request = asked(url, body, key="k1")
    assert "content-encoding" not in request.headers
    assert json.loads(request.content) == body
    assert request.headers["idempotency-key"] == "k1"


def test_the_token_goes_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "authorization" not in asked("http://a.example", {}).headers
    monkeypatch.setenv("WATTLE_API_TOKEN", "secret")
    assert asked("http://a.example", {}).headers["authorization"] == "Bearer secret"


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> Connection:
    return Connection("http://a.example", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ServerRefused), (401, KeyNeeded), (403, KeyNeeded), (404, ServerRefused), (408, ServerAway),
        (409, ServerRefused), (413, ServerRefused), (422, ServerRefused), (429, ServerAway),
        (500, ServerAway), (502, ServerAway), (503, ServerAway),
    ],
)  # fmt: skip
def test_only_what_may_succeed_later_is_tried_again(status: int, error: type[MonitorError]) -> None:
    said = {"error": {"code": "no", "message": "Because."}}
    with pytest.raises(error, match="Because") as raised:
        answering(lambda _request: httpx.Response(status, json=said)).get("/x")
    assert type(raised.value) is error


def test_no_answer_and_one_of_another_server_say_what_to_set() -> None:
    def break_down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    for answer in (break_down, lambda _request: httpx.Response(200, text="<html>")):
        with pytest.raises(ServerAway, match="WATTLE_API_URL"):
            answering(answer).get("/x")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(MonitorError):
        Connection("http://[::1").get("/x")


def test_the_address_is_this_host_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATTLE_API_URL", raising=False)
    assert default_url() == "http://127.0.0.1:5000"
    monkeypatch.setenv("WATTLE_API_URL", "http://a.example")
    assert default_url() == "http://a.example"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(301, headers={"location": "https://elsewhere/"}),
        httpx.Response(404, text="<h1>Not Found</h1>"),
        httpx.Response(405, json={"detail": "Method Not Allowed"}),
        httpx.Response(422, json={"error": "of something else"}),
    ],
)
def test_what_is_not_wattles_own_no_is_no_refusal(answer: httpx.Response) -> None:
    connection = Connection("http://127.0.0.1:1", transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(ServerAway, match="is not Wattle"):
        connection.post("/x", {})


def test_wattles_own_no_is_one() -> None:
    body = {"error": {"code": "not_found", "message": "There is no such run.", "details": []}}
    transport = httpx.MockTransport(lambda _: httpx.Response(404, json=body))
    with pytest.raises(ServerRefused, match="no such run"):
        Connection("http://127.0.0.1:1", transport=transport).post("/x", {})


def trusted() -> int:
    """Count the lists of whom to trust that are in memory, a megabyte each."""
    return sum(issubclass(type(each), ssl.SSLContext) for each in gc.get_objects())


@pytest.mark.parametrize("proxy", ["", "http://proxy.example:3128"])
def test_all_connections_of_a_process_share_whom_they_trust(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    first = Connection("https://wattle.example")
    before = trusted()
    others = [Connection("https://wattle.example") for _ in range(5)]
    assert trusted() == before > 0
    for connection in (first, *others):
        connection.close()
