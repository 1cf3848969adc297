"""The client: what it sends, how it reads answers, and what it says when there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from client import Client
from errors import ApiRefused, ApiUnavailable, FieldError
from schema import InUpdate, RunOptions, SortField, Status

URL = "http://api.test:5000"
TIME = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
RUN = {
    "run_id": "abc", "iid": "abc", "hyper_params": {"num_epochs": 2}, "status": "running", "attempt": 1,
    "time_added": TIME, "num_epochs": 2, "progress": 0.5, "in_update": [],
}  # fmt: skip
UPDATE = {
    "epoch": [1], "train_loss": [1.0], "train_accuracy": [50.0], "test_loss": [1.0], "test_accuracy": [60.0],
    "time_training": [2.0], "energy_kwh": [None], "co2_g": [None],
}  # fmt: skip


class FakeApi:
    """Answers every request alike, and keeps them."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer

    @property
    def address(self) -> str:
        """What was asked for last."""
        return str(self.requests[-1].url).removeprefix(URL)


def connect(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    return Client(f"{URL}/", transport=httpx.MockTransport(answer))


def answering(status: int, body: object) -> FakeApi:
    return FakeApi(httpx.Response(status, json=body))


def test_submit_sends_the_run_and_reads_its_id() -> None:
    api = answering(201, {"iid": "abc", "success": True})
    with connect(api) as client:
        reply = client.submit({"num_epochs": 2}, RunOptions(tags=("a",)), idempotency_key="mine")

    assert reply.iid == "abc"
    request = api.requests[0]
    assert (request.method, api.address) == ("POST", "/train")
    assert request.headers["Idempotency-Key"] == "mine"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {
        "hyper_params": {"num_epochs": 2},
        "options": RunOptions(tags=("a",)).model_dump(mode="json"),
    }


def test_every_submission_has_a_key_of_its_own() -> None:
    api = answering(201, {"iid": "abc", "success": True})
    with connect(api) as client:
        client.submit({})
        client.submit({})
    keys = {request.headers["Idempotency-Key"] for request in api.requests}
    assert len(keys) == 2


def test_a_run_without_epochs_and_one_with_are_both_read() -> None:
    with connect(answering(200, RUN)) as client:
        assert client.get_run("abc").in_update == ()
    with connect(answering(200, RUN | {"in_update": UPDATE})) as client:
        update = client.get_run("abc").in_update
    assert isinstance(update, InUpdate)
    assert update.energy_kwh == [None]


def test_a_run_is_asked_for_without_its_epochs_by_an_empty_list_of_fields() -> None:
    api = answering(200, RUN | {"in_update": None})
    with connect(api) as client:
        assert client.get_run("abc", fields=()).in_update is None
    assert api.address == "/api/runs/abc?fields="


@pytest.mark.parametrize(
    ("iid", "path"),
    [
        ("a/b", "/api/runs/a%2Fb"),
        ("..", "/api/runs/%2E%2E"),
        ("a?b#c", "/api/runs/a%3Fb%23c"),
        ("é", "/api/runs/%C3%A9"),
        ("", "/api/runs/%20"),
    ],
)
def test_an_odd_id_stays_one_part_of_the_path(iid: str, path: str) -> None:
    api = answering(200, RUN)
    with connect(api) as client:
        client.get_run(iid)
    assert api.requests[0].url.raw_path.decode() == path


def test_a_list_is_asked_for_as_it_was_wished() -> None:
    api = answering(200, {"results": [RUN], "cursor": "next", "total": 7, "counts": {"running": 1}})
    with connect(api) as client:
        plain = client.list_runs()
        assert api.address == "/api/runs?sort=time_added&order=desc"
        client.list_runs(
            sort=SortField.CO2_G,
            order="asc",
            status=Status.DONE,
            limit=5,
            cursor="c",
            fields=("in_update", "sparkline"),
        )
    assert (plain.cursor, plain.total, plain.counts) == ("next", 7, {Status.RUNNING: 1})
    assert dict(api.requests[-1].url.params) == {
        "sort": "co2_g",
        "order": "asc",
        "status": "done",
        "limit": "5",
        "cursor": "c",
        "fields": "in_update,sparkline",
    }


def test_a_limit_of_nothing_is_for_the_api_to_refuse() -> None:
    api = answering(200, {"results": [], "total": 0, "counts": {}})
    with connect(api) as client:
        client.list_runs(limit=0)
    assert api.requests[0].url.params["limit"] == "0"


def test_epochs_log_and_trainers_are_read() -> None:
    line = {"line_id": "1-0", "time": TIME, "text": "hello"}
    with connect(answering(200, {"epochs": [], "attempts": []})) as client:
        assert client.list_epochs("abc").epochs == []
    api = answering(200, {"lines": [line]})
    with connect(api) as client:
        assert client.list_log("abc").lines[0].text == "hello"
        assert api.address == "/api/runs/abc/log"
        client.list_log("abc", after="1-0")
        assert api.address == "/api/runs/abc/log?after=1-0"
    trainer = {"name": "cnn", "title": "CNN", "summary": "-", "schema": {"type": "object"}}
    with connect(answering(200, {"trainers": [trainer]})) as client:
        assert client.list_trainers().trainers[0].schema_ == {"type": "object"}


def test_an_api_without_redis_still_tells_its_health() -> None:
    health: dict[str, object] = {
        "status": "unavailable", "redis": "unreachable", "version": "1", "workers": [], "waiting": None,
        "time": TIME,
    }  # fmt: skip
    with connect(answering(503, health)) as client:
        assert client.get_health().status == "unavailable"


def test_a_refusal_carries_the_api_s_own_reasons() -> None:
    detail = {"field": "hyper_params.num_epochs", "message": "too many"}
    body = {"error": {"code": "invalid_input", "message": "Not valid.", "details": [detail]}}
    with connect(answering(422, body)) as client, pytest.raises(ApiRefused, match="Not valid") as caught:
        client.submit({"num_epochs": 10**9})
    assert (caught.value.status, caught.value.error_code) == (422, "invalid_input")
    assert caught.value.details == (FieldError("hyper_params.num_epochs", "too many"),)


def test_an_api_that_lost_redis_refuses_with_its_code() -> None:
    body = {"error": {"code": "store_unavailable", "message": "Redis is away.", "details": []}}
    with connect(answering(503, body)) as client, pytest.raises(ApiRefused) as caught:
        client.list_runs()
    assert (caught.value.status, caught.value.error_code) == (503, "store_unavailable")


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
        httpx.ReadError(""),
        httpx.UnsupportedProtocol("no scheme"),
    ],
)
def test_no_answer_names_the_address_and_how_to_start_the_backend(failure: httpx.HTTPError) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    with connect(fail) as client, pytest.raises(ApiUnavailable, match=r"python backend\.py") as caught:
        client.list_runs()
    assert URL in str(caught.value)
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>another program</html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"results": "many"}),
        httpx.Response(200, content=b"\xff"),
        httpx.Response(204),
        httpx.Response(302, headers={"Location": "http://elsewhere/"}),
        httpx.Response(404, text="not found"),
        httpx.Response(404, json={"error": "not found"}),
        httpx.Response(500, text="Internal Server Error"),
        httpx.Response(502, text="<html>Bad gateway</html>"),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.content[:20]!r}",
)
def test_an_answer_of_something_else_is_no_answer(answer: httpx.Response) -> None:
    with connect(FakeApi(answer)) as client, pytest.raises(ApiUnavailable, match="WATTLE_API_URL"):
        client.list_runs()


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://[::1", "http://h:port", "ftp://h"])
def test_an_address_that_is_none_is_no_answer_either(url: str) -> None:
    with pytest.raises(ApiUnavailable, match="WATTLE_API_URL"), Client(url) as client:
        client.list_runs()
