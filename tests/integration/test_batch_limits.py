"""What a batch of points may not be, over HTTP: it is refused as a whole, and nothing of it is stored."""

from __future__ import annotations

import gzip
import json
import math

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.integration.test_external_routes import (
    JSON,
    api,
    app,
    begin,
    error_of,
    points,
    send,
    settings,
    summaries,
)

__all__ = ["api", "app", "settings"]


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"a b": points([1.0])}, "pattern"),
        ({"": points([1.0])}, "pattern"),
        ({"x" * 251: points([1.0])}, "pattern"),
        ({"loss": {"steps": [1, 2], "values": [1.0], "times": [0, 0]}}, "one length"),
        ({"loss": {"steps": [-1], "values": [1.0], "times": [0]}}, "greater than or equal to 0"),
        ({"loss": {"steps": [2**63], "values": [1.0], "times": [0]}}, "less than or equal to"),
        ({"loss": {"steps": [1.5], "values": [1.0], "times": [0]}}, "integer"),
        ({"loss": {"steps": [True], "values": [1.0], "times": [0]}}, "integer"),
        ({"loss": {"steps": [1], "values": ["nan"], "times": [0]}}, "NaN"),
        ({"loss": {"steps": [1], "values": [None], "times": [0]}}, "number"),
        ({"loss": {"steps": [1], "values": [True], "times": [0]}}, "number"),
        ({"loss": {"steps": [1], "values": [1.0], "times": [1e12]}}, "less than or equal to"),
        ({"loss": points([0.0] * 60), "acc": points([0.0] * 60)}, "WATTLE_MAX_BATCH_POINTS"),
        ({f"m{number}": points([0.0]) for number in range(6)}, "WATTLE_MAX_METRICS"),
    ],
)  # fmt: skip
def test_a_batch_that_is_not_valid_is_refused_as_a_whole(
    api: FlaskClient, metrics: dict[str, object], reason: str
) -> None:
    iid = begin(api)
    status, message = error_of(send(api, iid, {"good": points([1.0]), **metrics}))
    assert status == 422
    assert reason in message
    assert summaries(api, iid) == {}
    assert send(api, iid, {"good": points([1.0])}).get_json()["accepted"] == 1


def test_a_metric_has_a_largest_number_of_points(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"loss": points([0.0] * 100)})
    refused = send(api, iid, {"loss": points([0.0] * 51), "other": points([1.0])}, seq=2)
    assert error_of(refused)[0] == 422
    assert "WATTLE_MAX_METRIC_POINTS" in error_of(refused)[1]
    assert {name: known["count"] for name, known in summaries(api, iid).items()} == {"loss": 100}
    assert send(api, iid, {"loss": points([0.0] * 50)}, seq=2).get_json()["accepted"] == 50


def test_packed_bodies_are_taken_and_bombs_are_not(api: FlaskClient) -> None:
    iid = begin(api)
    headers = {"Content-Encoding": "gzip", "Content-Type": JSON}
    text = json.dumps({"session": "s", "seq": 1, "points": {"loss": points([1.0] * 90)}}).encode()

    def post(data: bytes, **more: str) -> TestResponse:
        return api.post(f"/api/metrics/{iid}", data=data, headers={**headers, **more})

    assert post(gzip.compress(text)).get_json()["accepted"] == 90
    assert error_of(post(gzip.compress(b" " * 20_001)))[0] == 413
    assert "WATTLE_MAX_BATCH_BYTES" in error_of(post(gzip.compress(b" " * 10_000_000)))[1]
    assert post(gzip.compress(text)[:-9]).status_code == 400
    assert post(gzip.compress(text) + b"more").status_code == 400
    assert post(b"no gzip").status_code == 400
    assert post(text, **{"Content-Encoding": "br"}).status_code == 415
    assert api.post(f"/api/metrics/{iid}", data=b" " * 20_001, content_type=JSON).status_code == 413
    assert summaries(api, iid)["loss"]["count"] == 90


def test_a_batch_of_far_too_many_points_is_not_even_parsed(api: FlaskClient) -> None:
    iid = begin(api)
    reply = api.post(f"/api/metrics/{iid}", data=b"," * 316, content_type=JSON)
    assert error_of(reply)[0] == 422
    assert "WATTLE_MAX_BATCH_POINTS" in error_of(reply)[1]
    full: dict[str, object] = {f"m{number}": points([1.0] * 20) for number in range(5)}
    assert send(api, iid, full).get_json()["accepted"] == 100


def test_no_number_that_json_has_not_is_taken(api: FlaskClient) -> None:
    iid = begin(api)
    for word in ("NaN", "1e999", str(math.inf)):
        text = f'{{"session":"s","seq":1,"points":{{"a":{{"steps":[1],"values":[{word}],"times":[0]}}}}}}'
        assert api.post(f"/api/metrics/{iid}", data=text, content_type=JSON).status_code == 400
    assert summaries(api, iid) == {}
