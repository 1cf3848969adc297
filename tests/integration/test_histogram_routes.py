"""Histograms come back as they were sent, few of them where there were many."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from redis_db import RedisDB
from schema import HistogramSeries
from settings import Settings
from views.histograms import merge

JSON = "application/json"


def histogram(step: int = 0, name: str = "w", **changes: Any) -> dict[str, Any]:
    made = {"name": name, "step": step, "time": 100.5 + step, "edges": [-1, 0.25, 2], "counts": [3, 4]}
    return {**made, "nonfinite": 5, **changes}


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


@pytest.fixture
def iid(api: FlaskClient) -> str:
    found: str = api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]
    return found


def send(api: FlaskClient, iid: str, seq: int, *histograms: Any, session: str = "s") -> TestResponse:
    body = {"session": session, "seq": seq, "histograms": list(histograms)}
    return api.post(f"/api/histograms/{iid}", json=body)


def read(api: FlaskClient, iid: str, name: str = "w") -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/api/histograms/{iid}?name={name}").get_json()["histograms"][name]
    return found


def test_histograms_come_back_by_step_and_each_batch_once(api: FlaskClient, iid: str) -> None:
    assert send(api, iid, 1, histogram(7), histogram(2, counts=[0, 2**53])).get_json() == {
        "seq": 1, "accepted": 2, "request": None,
    }  # fmt: skip
    assert send(api, iid, 1, histogram(9)).get_json()["accepted"] == 0
    assert send(api, iid, 1, histogram(1, "a/b"), session="t").get_json()["accepted"] == 1
    assert api.get(f"/api/histograms/{iid}").get_json() == {
        "names": ["a/b", "w"], "counts": {"a/b": 1, "w": 2},
    }  # fmt: skip
    assert read(api, iid) == {
        "steps": [2, 7],
        "times": [102.5, 107.5], "edges": [[-1, 0.25, 2]] * 2, "counts": [[0, 2**53], [3, 4]],
        "nonfinite": [5, 5], "numbers": [2, 1], "stride": 1,
    }  # fmt: skip
    assert api.get(f"/api/histograms/{iid}?name=w,x").status_code == 404
    packed = gzip.compress(json.dumps({"session": "s", "seq": 2, "histograms": [histogram(8)]}).encode())
    headers = {"Content-Encoding": "gzip"}
    assert (
        api.post(f"/api/histograms/{iid}", data=packed, content_type=JSON, headers=headers).status_code == 200
    )
    assert read(api, iid)["steps"] == [2, 7, 8]


@pytest.mark.parametrize("came", [300, 301, 302, 599, 600, 1_234])
def test_of_many_steps_300_at_most_are_kept_evenly_and_the_newest(
    api: FlaskClient, iid: str, came: int
) -> None:
    for first in range(0, came, 64):
        steps = range(first, min(first + 64, came))
        assert send(api, iid, first // 64 + 1, *map(histogram, steps)).status_code == 200
    kept = read(api, iid)["steps"]
    assert (kept[0], kept[-1]) == (0, came - 1)
    assert 150 <= len(kept) <= 300
    gaps = {second - first for first, second in pairwise(kept[:-1])}
    assert len(gaps) == 1


def test_who_asks_for_what_came_since_has_the_same_as_who_asks_for_all(api: FlaskClient, iid: str) -> None:
    random = Random(0)  # noqa: S311 - steps of a test
    known, after, read = None, 0, 0
    for seq, size in enumerate([1, 1, 64, 64, 64, 64, 64, 1, 2, 64, 64, 64, 64, 64, 64, 3], start=1):
        assert send(api, iid, seq, *(histogram(random.randrange(99)) for _ in range(size))).status_code == 200
        whole = fetch(api, iid, 0)
        news = fetch(api, iid, after)
        known = news if known is None else merge(known, news)
        assert known == whole
        read, after = read + len(news.steps), max(whole.numbers)
    assert (after, whole.stride, len(whole.steps)) == (712, 4, 179)
    assert read < 712
    assert fetch(api, iid, after).steps == fetch(api, iid, 10_000).steps == []
    refused = api.get(f"/api/histograms/{iid}?name=w,v&after=1")
    assert (refused.status_code, refused.get_json()["error"]["details"][0]["field"]) == (422, "after")


@pytest.mark.parametrize("after", [-1, 2**53 + 1, "1.5", "x"])
def test_a_number_that_none_has_is_refused(api: FlaskClient, iid: str, after: object) -> None:
    assert send(api, iid, 1, histogram(1)).status_code == 200
    refused = api.get(f"/api/histograms/{iid}?name=w&after={after}")
    assert (refused.status_code, refused.get_json()["error"]["details"][0]["field"]) == (422, "after")
    assert fetch(api, iid, 2**53).steps == []


def fetch(api: FlaskClient, iid: str, after: int) -> HistogramSeries:
    reply = api.get(f"/api/histograms/{iid}?name=w&after={after}").get_json()
    return HistogramSeries.model_validate(reply["histograms"]["w"])


def test_a_run_has_histograms_of_500_names(api: FlaskClient, iid: str) -> None:
    for first in range(0, 500, 50):
        names = [f"w{number}" for number in range(first, first + 50)]
        assert send(api, iid, first // 50 + 1, *(histogram(0, name) for name in names)).status_code == 200
    refused = send(api, iid, 11, histogram(1, "w0"), histogram(1, "one_more"))
    assert (refused.status_code, "500 names" in refused.get_json()["error"]["message"]) == (422, True)
    assert read(api, iid, "w0")["steps"] == [0]
    assert send(api, iid, 11, histogram(1, "w0")).status_code == 200


def measure(raw: redis.Redis, iid: str) -> int:
    """Add up the histograms of a run as they are kept."""
    script = """
        local bytes = 0
        for _, name in ipairs(KEYS) do
          for _, entry in ipairs(redis.call("LRANGE", name, 0, -1)) do bytes = bytes + #entry end
        end
        return bytes"""
    names = raw.keys(f"run:{iid}:histogram:*")
    return int(raw.eval(script, len(names), *names))


def test_a_run_has_64_mib_of_histograms(api: FlaskClient, iid: str, raw: redis.Redis) -> None:
    bins = {"edges": list(range(101)), "counts": list(range(100))}
    for seq in range(1, 8):
        steps = range(64 * seq, 64 * seq + 64)
        send(api, iid, seq, *(histogram(step, "ab"[step % 2], **bins) for step in steps))
        # Exact, also when the lists have been thinned, and the newest one of each was replaced.
        assert int(raw.get(f"run:{iid}:histograms:bytes") or 0) == measure(raw, iid)
    raw.set(f"run:{iid}:histograms:bytes", (64 << 20) - 100)
    before = measure(raw, iid)
    refused = send(api, iid, 8, histogram(1_000, "a", **bins))
    assert (refused.status_code, "64 MiB" in refused.get_json()["error"]["message"]) == (422, True)
    assert measure(raw, iid) == before
    raw.set(f"run:{iid}:histograms:bytes", 60 << 20)
    assert send(api, iid, 8, histogram(1_000, "a", **bins)).get_json()["accepted"] == 1


def test_of_many_names_fewer_steps_are_answered_evenly_and_the_newest(api: FlaskClient, iid: str) -> None:
    names = [f"w{number}" for number in range(20)]
    for step in range(0, 240, 3):
        batch = [histogram(step + more, name) for more in range(3) for name in names]
        assert send(api, iid, step // 3 + 1, *batch).status_code == 200
    found = api.get(f"/api/histograms/{iid}?name={','.join(names)}").get_json()["histograms"]
    for name in names:
        steps = found[name]["steps"]
        assert (len(steps), steps[0], steps[-1]) == (75, 0, 239)
        assert {second - first for first, second in pairwise(steps)} == {3, 4}
    assert len(read(api, iid, "w0")["steps"]) == 240


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": [0, 1]},
        {"edges": [0, 0, 1]},
        {"edges": [2, 1, 0]},
        {"edges": [0, 1, "2"]},
        {"edges": [0, 1, None]},
        {"edges": [], "counts": []},
        {"edges": [1], "counts": []},
        {"counts": [-1, 1]},
        {"counts": [1.5, 1]},
        {"counts": [True, 1]},
        {"counts": [2**53 + 1, 1]},
        {"edges": list(range(258)), "counts": [1] * 257},
        {"nonfinite": -1},
        {"step": -1},
        {"step": 1.0},
        {"time": "now"},
        {"name": "a b"},
        {"name": ""},
        {"other": 1},
    ],
)
def test_what_is_no_histogram_is_refused_and_changes_nothing(
    api: FlaskClient, iid: str, raw: redis.Redis, wrong: dict[str, Any]
) -> None:
    before = sorted(raw.keys("*"))
    assert send(api, iid, 1, histogram(), histogram(**wrong)).status_code == 422
    assert send(api, iid, 1, *[histogram()] * 65).status_code == 422
    assert send(api, iid, 0, histogram()).status_code == 422
    assert sorted(raw.keys("*")) == before


def test_numbers_beyond_all_limits_are_refused_before_they_are_parsed(api: FlaskClient, iid: str) -> None:
    for body in (b"[" * 8_000_000, b'{"session":"s","seq":1,"histograms":[' + b"1," * 4_000_000 + b"1]}"):
        reply = api.post(f"/api/histograms/{iid}", data=body, content_type=JSON)
        assert (reply.status_code, "64 histograms" in reply.get_json()["error"]["message"]) == (422, True)
    reply = api.post(f"/api/histograms/{iid}", data=b" " * 10_000_000, content_type=JSON)
    assert reply.status_code == 413


def test_only_a_run_of_a_script_takes_them_and_they_go_with_it(
    api: FlaskClient, iid: str, raw: redis.Redis
) -> None:
    queued = api.post("/train", json={"num_epochs": 1}).get_json()["iid"]
    assert send(api, queued, 1, histogram()).status_code == 409
    assert api.get(f"/api/histograms/{queued}").get_json() == {"names": [], "counts": {}}
    assert send(api, "0" * 32, 1, histogram()).status_code == 404
    send(api, iid, 1, histogram())
    api.post(f"/api/experiments/{iid}/status", json={"status": "done"})
    assert api.delete(f"/api/runs/{iid}?confirm={iid}", content_type=JSON).status_code == 200
    assert raw.keys(f"run:{iid}*") == []
