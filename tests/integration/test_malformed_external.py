"""Whatever is sent about a script's run, the answer is no 5xx, and what is refused changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from api.shapes import SHAPES
from backend import create_app
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.integration.test_malformed import NOT_JSON, anything

JSON = "application/json"
OWN = ("params", "tags", "notes", "status")
ROUTES = (
    "/api/experiments", "/api/metrics/{iid}", "/api/logs/{iid}",
    *(f"/api/experiments/{{iid}}/{what}" for what in OWN),
)  # fmt: skip
# What is counted before it is parsed, by route.
COUNTED = {"/api/metrics/{iid}": "metrics.record_points", "/api/logs/{iid}": "metrics.append_log"}
# Of each route, JSON that it does not take.
BATCH = {"session": "s", "seq": 1}
WRONG: dict[str, list[object]] = {
    "/api/experiments": [
        {}, [], {"name": ""}, {"name": " "}, {"name": "x" * 251}, {"name": "a\nb"}, {"name": 1},
        {"name": "a", "project": "/"}, {"name": "a", "params": []}, {"name": "a", "tags": "t"},
        {"name": "a", "tags": ["x" * 65]}, {"name": "a", "tags": ["t"] * 33},
        {"name": "a", "environment": {"gpu": ["a"]}},
        {"name": "a", "environment": {"energy_quality": "good"}},
        {"name": "a", "params": {"text": "x" * 70_000}}, {"name": "a", "resume": 7}, {"name": "a", "id": "b"},
    ],
    "/api/metrics/{iid}": [
        {}, [], {**BATCH}, {**BATCH, "points": []}, {**BATCH, "points": {"a": []}},
        {**BATCH, "points": {"a": {"steps": [], "values": []}}}, {**BATCH, "seq": 0, "points": {}},
        {**BATCH, "seq": 1.5, "points": {}}, {**BATCH, "seq": True, "points": {}},
        {**BATCH, "seq": 2**53 + 1, "points": {}}, {**BATCH, "session": "", "points": {}},
        {**BATCH, "session": "A", "points": {}}, {**BATCH, "session": "s:log", "points": {}},
        {**BATCH, "session": "s" * 65, "points": {}},
        {**BATCH, "points": {"a": {"steps": "1", "values": "1", "times": "1"}}},
        {**BATCH, "points": {"a": {"steps": [1], "values": [10**400], "times": [1]}}},
        {**BATCH, "points": {"a": {"steps": [10**400], "values": [1], "times": [1]}}},
    ],
    "/api/logs/{iid}": [
        {}, {**BATCH}, {**BATCH, "lines": {}}, {**BATCH, "lines": ["a"]}, {**BATCH, "lines": [{"text": "a"}]},
        {**BATCH, "lines": [{"time": "now", "text": "a"}]}, {**BATCH, "lines": [{"time": -1, "text": "a"}]},
        {**BATCH, "lines": [{"time": 1, "text": "a"}] * 1_001}, {**BATCH, "lines": [{"time": 1, "text": 2}]},
    ],
    "/api/experiments/{iid}/params": [{}, [], {"params": []}, {"params": {"text": "x" * 70_000}}],
    "/api/experiments/{iid}/tags": [
        [], {"add": "t"}, {"add": [""]}, {"add": [1]}, {"add": [str(number) for number in range(33)]},
    ],
    "/api/experiments/{iid}/notes": [{}, {"text": ""}, {"text": "x" * 10_001}, {"text": ["a"]}],
    "/api/experiments/{iid}/status": [
        {}, {"status": "running"}, {"status": "paused"}, {"status": ["done"]},
        {"status": "failed", "error": "x"},
        {"status": "done", "reason": "x" * 1_001}, {"status": "failed", "error": {"kind": "", "message": ""}},
    ],
}  # fmt: skip


class Place:
    """An app over a store with one run that a script reports."""

    def __init__(self, db: RedisDB, raw: redis.Redis, data_dir: Path) -> None:
        self.db, self.raw = db, raw
        self.api: FlaskClient = create_app(Settings(data_dir=data_dir), db).test_client()
        self.iid: str = self.api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]
        self.before = self.state()

    def begin(self) -> None:
        """Go on with a run that has nothing yet."""
        self.iid = self.api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]

    def state(self) -> tuple[Any, ...]:
        return sorted(self.raw.keys("*")), self.db.runs.get(self.iid), self.raw.xlen("events")

    def post(self, route: str, body: bytes, **headers: str) -> TestResponse:
        return self.api.post(route.format(iid=self.iid), data=body, content_type=JSON, headers=headers)

    def refuse(self, route: str, body: bytes, **headers: str) -> tuple[int, str]:
        reply = self.post(route, body, **headers)
        assert 400 <= reply.status_code < 500, (reply.status_code, body[:200])
        return reply.status_code, reply.get_json()["error"]["code"]


@pytest.fixture
def place(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Iterator[Place]:
    found = Place(db, raw, tmp_path)
    yield found
    assert found.state() == found.before


@pytest.fixture
def place_to_change(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Place:
    return Place(db, raw, tmp_path)


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_not_json_is_malformed(place: Place, route: str) -> None:
    for body in NOT_JSON:
        most = SHAPES[COUNTED[route]](Settings()).lists.most if route in COUNTED else len(body)
        is_too_many = body.count(b"[") + body.count(b"{") > most
        expected = (422, "invalid_input") if is_too_many else (400, "malformed")
        assert place.refuse(route, body) == expected, body[:40]


@pytest.mark.parametrize("route", ROUTES)
def test_json_that_the_route_does_not_take_is_invalid(place: Place, route: str) -> None:
    for value in WRONG[route]:
        code = place.refuse(route, json.dumps(value).encode())
        assert code in ((422, "invalid_input"), (400, "malformed")), repr(value)[:80]


@pytest.mark.parametrize("route", ROUTES)
def test_a_page_of_another_site_reports_nothing(place: Place, route: str) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert place.refuse(route, b"{}", **headers) == (403, "forbidden")


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_too_large_is_refused(place: Place, route: str) -> None:
    assert place.refuse(route, b'{"x": "' + b"x" * 8_400_000 + b'"}') == (413, "body_too_large")


def test_lines_of_brackets_are_lines_like_any_other(place_to_change: Place) -> None:
    line = {"time": 1.0, "text": '[{"a": [1, 2, "\\"]}], ' * 100}
    body = json.dumps({**BATCH, "lines": [line] * 1_000}).encode()
    assert place_to_change.post("/api/logs/{iid}", body).get_json()["accepted"] == 1_000


quietly = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
names = st.text("ab/_", min_size=1, max_size=3) | st.text(max_size=5)
numbers = st.integers() | st.floats() | st.sampled_from(["NaN", "Infinity", "-Infinity"]) | anything
lists = st.fixed_dictionaries(
    {
        "steps": st.lists(numbers, max_size=3),
        "values": st.lists(numbers, max_size=3),
        "times": st.lists(numbers, max_size=3),
    }
)


@quietly
@given(route=st.sampled_from(ROUTES), value=anything)
def test_no_json_gives_a_server_error(place_to_change: Place, route: str, value: object) -> None:
    reply = place_to_change.post(route, json.dumps(value).encode())
    assert reply.status_code < 500


@quietly
@given(points=st.dictionaries(names, lists, max_size=3), seq=st.integers(-1, 3))
def test_no_batch_gives_a_server_error_or_a_run_that_cannot_be_read(
    place_to_change: Place, points: dict[str, object], seq: int
) -> None:
    place = place_to_change
    place.begin()
    body = json.dumps({"session": "s", "seq": seq, "points": points}).encode()
    reply = place.post("/api/metrics/{iid}", body)
    assert reply.status_code in (200, 400, 422)
    known = place.api.get(f"/api/metrics/{place.iid}").get_json()["names"]
    for metric in known:
        assert (
            place.api.get(f"/api/metrics/{place.iid}", query_string={"name": metric["name"]}).status_code
            == 200
        )
    assert place.api.get(f"/api/runs/{place.iid}").get_json()["status"] == Status.RUNNING


EXTREMES = [
    0,
    5e-324,
    -5e-324,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    1,
    -1,
    "NaN",
    "Infinity",
    "-Infinity",
]
OWN_NAMES = ("accuracy", "loss", "energy_kwh", "co2_g", "epoch")


@quietly
@given(
    values=st.dictionaries(
        st.sampled_from(OWN_NAMES), st.lists(st.sampled_from(EXTREMES), min_size=1, max_size=4)
    )
)
def test_no_value_of_a_metric_makes_a_run_that_cannot_be_listed(
    place_to_change: Place, values: dict[str, list[object]]
) -> None:
    place = place_to_change
    place.begin()
    for seq in (1, 2):
        points = {
            name: {"steps": [seq] * len(own), "values": own, "times": [0] * len(own)}
            for name, own in values.items()
        }
        body = json.dumps({"session": "s", "seq": seq, "points": points}).encode()
        assert place.post("/api/metrics/{iid}", body).status_code == 200
    for path in (
        "/api/runs?fields=sparkline",
        "/api/runs?sort=energy_kwh",
        "/api/totals",
        "/api/totals?by=project",
    ):
        assert place.api.get(path).status_code == 200, path
