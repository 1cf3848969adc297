"""Whatever is sent to the routes that control runs and workers, the answer is a 4xx and nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backend import create_app
from redis_db import RedisDB
from schema import Run, Status
from settings import Settings
from tests.integration.test_malformed import NOT_JSON, anything
from tests.records import TORCH_WORKER

JSON = "application/json"
SIMPLE = ("cancel", "pause", "resume", "preempt", "retry")
ROUTES = (
    *(f"/api/runs/{{iid}}/{action}" for action in (*SIMPLE, "priority", "rerun")),
    "/api/runs/bulk",
    "/api/workers/w-1/drain",
)
# Of each route, JSON that it does not take.
WRONG: dict[str, list[object]] = {
    **{
        f"/api/runs/{{iid}}/{action}": [[], 1, "x", True, {"force": True}, {"": None}, {"iid": "a"}]
        for action in SIMPLE
    },
    "/api/runs/{iid}/priority": [
        {}, [], "high", {"priority": None}, {"priority": "HIGH"}, {"priority": 1}, {"priority": ["high"]},
        {"priority": "high", "x": 1},
    ],
    "/api/runs/{iid}/rerun": [
        [], "x", {"hyper_params": None}, {"hyper_params": []}, {"hyper_params": {"seed": "x"}},
        {"hyper_params": {"trainer": "nobody"}}, {"hyper_params": {"demo": "yes"}},
        {"hyper_params": {"simulated": True}}, {"options": None}, {"options": [1]},
        {"options": {"queue": "a b"}}, {"options": {"start_at": "tomorrow"}},
        {"options": {"start_at": "2026-01-01T00:00:00"}}, {"options": {"timeout_s": 0}},
        {"options": {"max_failures": 11}}, {"options": {"requires": {"gpus": -1}}}, {"num_epochs": 1},
    ],
    "/api/runs/bulk": [
        {}, [], {"action": None, "run_ids": ["a"]}, {"action": "cancel", "run_ids": {"a": 1}},
        {"action": "cancel", "run_ids": [None]}, {"action": "cancel", "run_ids": [["a"]]},
        {"action": "retry", "status": ["failed"]}, {"action": ["cancel"], "run_ids": ["a"]},
        {"action": "cancel", "run_ids": ["a"] * 100_000},
    ],
    "/api/workers/w-1/drain": [{}, [], {"is_draining": 0}, {"is_draining": True, "now": True}, True],
}  # fmt: skip


WRONG_OPTIONS: list[dict[str, object]] = [
    {"start_at": "0001-01-01T00:00:00+23:59"}, {"start_at": "9999-12-31T23:59:59-23:59"},
    {"start_at": "9999-01-01T00:00:00Z"}, {"start_at": "1969-12-31T23:59:59Z"},
    {"start_at": "2026-01-01T00:00:00"}, {"start_at": "tomorrow"},
    {"start_at": 1e11}, {"start_at": 2_000_000},
    {"start_at": True}, {"timeout_s": 0}, {"timeout_s": -1}, {"timeout_s": True}, {"timeout_s": "60"},
    {"max_failures": -1}, {"max_failures": 11}, {"max_failures": True}, {"max_failures": "3"},
    {"requires": []}, {"requires": {"gpus": True}}, {"requires": {"gpus": 65}}, {"requires": {"gpus": 1.5}},
    {"requires": {"min_gpu_memory_gib": -1}}, {"requires": {"min_gpu_memory_gib": 1e300}},
    {"requires": {"min_gpu_memory_gib": True}}, {"requires": {"zone": "a b"}}, {"requires": {"zone": ""}},
    {"requires": {"cpus": 4}}, {"queue": "default.gpus-2"},
]  # fmt: skip


class Place:
    """An app over a store with one waiting run and one live worker."""

    def __init__(self, db: RedisDB, data_dir: Path) -> None:
        self.db = db
        self.api: FlaskClient = create_app(Settings(data_dir=data_dir), db).test_client()
        self.iid: str = self.api.post("/train", json={"num_epochs": 2}).get_json()["iid"]
        db.workers.beat(TORCH_WORKER.model_copy(update={"worker_id": "w-1"}), ttl_s=60)
        self.before = self.state()

    def state(self) -> tuple[Run, int, int, list[bool]]:
        run = self.db.runs.get(self.iid)
        drained = [worker.is_draining for worker in self.db.workers.list_live()]
        return run, self.db.runs.list().total, self.db.queue.length("default"), drained

    def refuse(self, route: str, body: bytes, **headers: str) -> tuple[int, str]:
        """Post ``body``; it has to be refused in the shape of every error."""
        path = route.format(iid=self.iid)
        reply = self.api.post(path, data=body, content_type=JSON, headers=headers)
        assert 400 <= reply.status_code < 500, (reply.status_code, body[:200])
        assert len(reply.data) < 50_000
        error = reply.get_json()["error"]
        assert error.keys() == {"code", "message", "details"}
        if reply.status_code == 422:
            assert error["details"]
        return reply.status_code, error["code"]


@pytest.fixture
def place(db: RedisDB, tmp_path: Path) -> Iterator[Place]:
    found = Place(db, tmp_path)
    yield found
    assert found.state() == found.before


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_not_json_is_malformed(place: Place, route: str) -> None:
    for body in NOT_JSON:
        assert place.refuse(route, body) == (400, "malformed"), body[:40]


@pytest.mark.parametrize("route", ROUTES)
def test_json_that_the_route_does_not_take_is_invalid(place: Place, route: str) -> None:
    for value in WRONG[route]:
        assert place.refuse(route, json.dumps(value).encode()) == (422, "invalid_input"), repr(value)[:80]


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=repr)
def test_no_option_takes_a_wrong_value(place: Place, options: dict[str, object]) -> None:
    for route, body in (
        ("/train", {"hyper_params": {}, "options": options}),
        ("/api/runs/{iid}/rerun", {"options": options}),
        ("/api/predict", {"hyper_params": {}, "options": options}),
    ):
        if route != "/api/predict" or "queue" not in options:
            assert place.refuse(route, json.dumps(body).encode()) == (422, "invalid_input")
    assert place.api.get("/api/runs").status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_too_large_or_no_json_by_its_header_is_refused(place: Place, route: str) -> None:
    assert place.refuse(route, b'{"x": "' + b"x" * 2_000_000 + b'"}') == (413, "body_too_large")
    path = route.format(iid=place.iid)
    for content_type in (None, "text/plain", "application/x-www-form-urlencoded"):
        assert place.api.post(path, data=b"{}", content_type=content_type).status_code == 415


@pytest.mark.parametrize("route", ROUTES)
def test_a_page_of_another_site_controls_nothing(place: Place, route: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert place.refuse(route, b"{}", **headers) == (403, "forbidden")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_another_method_is_refused(place: Place, route: str, method: str) -> None:
    reply = place.api.open(route.format(iid=place.iid), method=method, content_type=JSON)
    assert reply.status_code in (404, 405, 409)
    assert reply.get_json()["error"]["message"]


@pytest.mark.parametrize("action", ["rerun", "bulk"])
@pytest.mark.parametrize("key", ["", "k" * 201, "two words", "schlüssel"])
def test_a_key_that_cannot_be_kept_is_refused_by_its_name(place: Place, action: str, key: str) -> None:
    path = "/api/runs/bulk" if action == "bulk" else f"/api/runs/{place.iid}/rerun"
    body = {"action": "rerun", "run_ids": [place.iid]} if action == "bulk" else {}
    reply = place.api.post(path, json=body, headers={"Idempotency-Key": key})
    assert reply.status_code == 422
    assert reply.get_json()["error"]["details"][0]["field"] == "Idempotency-Key"


quietly = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quietly
@given(route=st.sampled_from(ROUTES), value=anything)
def test_no_json_gives_a_server_error_or_changes_anything(place: Place, route: str, value: object) -> None:
    assume(value != {})
    place.refuse(route, json.dumps(value).encode())


@quietly
@given(
    value=st.fixed_dictionaries(
        {"action": st.sampled_from(["cancel", "retry", "delete", "priority", "rerun"]) | anything},
        optional={
            "run_ids": st.lists(st.text(max_size=70), max_size=4) | anything,
            "status": st.sampled_from(list(Status)) | anything,
            "priority": st.sampled_from(["high", "normal"]) | anything,
        },
    )
)
def test_no_bulk_request_gives_a_server_error(place: Place, value: dict[str, object]) -> None:
    assume("waiting" not in value.values())
    reply = place.api.post("/api/runs/bulk", data=json.dumps(value), content_type=JSON)
    assert reply.status_code < 500
    if reply.status_code == 200:
        assert not any(outcome["success"] for outcome in reply.get_json()["outcomes"])


@quietly
@given(tail=st.text(max_size=40), confirm=st.text(max_size=70))
def test_no_address_gives_a_server_error(place: Place, tail: str, confirm: str) -> None:
    api = place.api
    assert (
        api.delete(f"/api/runs/{tail}", query_string={"confirm": confirm}, content_type=JSON).status_code
        < 500
    )
    assert api.get(f"/api/runs/{tail}/deletion").status_code < 500
    assert api.post(f"/api/runs/{tail}/cancel", json={}).status_code < 500
    assert api.post(f"/api/workers/{tail}/drain", json={"is_draining": True}).status_code < 500
