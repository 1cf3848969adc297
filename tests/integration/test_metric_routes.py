"""Points of metrics as they are read over HTTP, and the lists of experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import Status
from settings import Settings
from store import runs as runs_module
from tests.records import epoch, running


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def begin(api: FlaskClient, name: str = "mine", **more: object) -> str:
    iid = api.post("/api/experiments", json={"name": name, **more}).get_json()["iid"]
    assert isinstance(iid, str)
    return iid


def send(api: FlaskClient, iid: str, seq: int, **metrics: list[tuple[int, Any]]) -> None:
    points = {
        name.replace("__", "/"): {
            "steps": [step for step, _ in own],
            "values": [value for _, value in own],
            "times": [1e9 + place for place in range(len(own))],
        }
        for name, own in metrics.items()
    }
    body = {"session": "s", "seq": seq, "points": points}
    reply = api.post(f"/api/metrics/{iid}", json=body)
    assert reply.status_code == 200, reply.text


def read(api: FlaskClient, iid: str, query: str) -> dict[str, dict[str, Any]]:
    reply = api.get(f"/api/metrics/{iid}?{query}")
    assert reply.status_code == 200, reply.text
    metrics: dict[str, dict[str, Any]] = reply.get_json()["metrics"]
    return metrics


def test_points_are_read_by_step_and_ties_as_they_came(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, 1, loss=[(5, 1.0), (2, 2.0)], val__acc=[(0, 0.5)])
    send(api, iid, 2, loss=[(2, 3.0), (0, "NaN")])
    found = read(api, iid, "name=loss&name=val/acc")
    assert found["loss"] == {
        "steps": [0, 2, 2, 5],
        "values": ["NaN", 2.0, 3.0, 1.0],
        "times": [1e9 + 1, 1e9 + 1, 1e9, 1e9],
        "total": 4,
        "is_downsampled": False,
    }
    assert found == read(api, iid, "name=loss,val/acc")
    assert list(found) == ["loss", "val/acc"]


def test_a_span_of_steps_is_read(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, 1, loss=[(step, float(step)) for step in range(10)])
    found = read(api, iid, "name=loss&from=3&to=5")["loss"]
    assert (found["steps"], found["total"]) == ([3, 4, 5], 3)


@pytest.mark.parametrize("method", ["minmax", "lttb"])
def test_fewer_points_are_answered_where_there_are_many(api: FlaskClient, method: str) -> None:
    iid = begin(api)
    send(api, iid, 1, loss=[(step, (step * 7919) % 1000) for step in range(5_000)])
    found = read(api, iid, f"name=loss&points=100&method={method}")["loss"]
    assert (found["total"], found["is_downsampled"]) == (5_000, True)
    assert 50 <= len(found["steps"]) <= 100
    assert len(found["steps"]) == len(found["values"]) == len(found["times"])
    assert len(read(api, iid, "name=loss")["loss"]["steps"]) <= 1_000


@pytest.mark.parametrize(
    "query",
    ["name=loss&points=3", "name=loss&points=10001", "name=loss&from=-1", "name=loss&method=mean",
     "name=" + ",".join(f"m{number}" for number in range(21))],
)  # fmt: skip
def test_a_question_that_is_not_valid_is_refused(api: FlaskClient, query: str) -> None:
    iid = begin(api)
    send(api, iid, 1, loss=[(0, 1.0)])
    assert api.get(f"/api/metrics/{iid}?{query}").status_code == 422


def test_a_metric_that_is_not_there_is_not_found(api: FlaskClient) -> None:
    iid = begin(api)
    assert api.get(f"/api/metrics/{iid}?name=loss").status_code == 404
    assert api.get("/api/metrics/nobody").status_code == 404


def test_a_run_of_the_queue_answers_with_its_epochs(api: FlaskClient, db: RedisDB) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, test_accuracy=0.25))
    db.runs.record_epoch(lease, epoch(2, test_accuracy=0.75, energy_kwh=0.5))
    names = api.get(f"/api/metrics/{lease.run_id}").get_json()["names"]
    known = {metric["name"]: metric for metric in names}
    assert sorted(known) == [
        *("duration_s", "energy_kwh", "test_accuracy", "test_loss", "train_accuracy", "train_loss"),
    ]
    assert known["test_accuracy"] == {
        "name": "test_accuracy",
        "count": 2,
        "last_step": 2,
        "last_value": 0.75,
        "min": 0.25,
        "max": 0.75,
    }
    found = read(api, lease.run_id, "name=test_accuracy,energy_kwh&from=2")
    assert found["test_accuracy"]["values"] == [0.75]
    assert found["energy_kwh"]["steps"] == [2]
    assert found["energy_kwh"]["times"] == [None]
    assert api.get(f"/api/metrics/{lease.run_id}?name=co2_g").status_code == 404


def listed(api: FlaskClient, query: str) -> list[str]:
    reply = api.get(f"/api/experiments?{query}")
    assert reply.status_code == 200, reply.text
    return [run["iid"] for run in reply.get_json()["results"]]


def test_the_newest_of_a_name_comes_first(api: FlaskClient, db: RedisDB) -> None:
    old, other, new = begin(api, "a"), begin(api, "b"), begin(api, "a")
    assert listed(api, "name=a") == [new, old]
    assert listed(api, "name=a&order=asc") == [old, new]
    assert listed(api, "name=b") == [other]
    assert listed(api, "name=c") == []
    db.external.end(old, Status.DONE)
    assert listed(api, "name=a&status=done") == [old]
    assert api.get("/api/experiments?name=a&sort=co2_g").status_code == 422


def test_pages_of_a_name_are_walked_by_their_cursor(api: FlaskClient) -> None:
    ids = [begin(api, "a", project=project) for project in ("p", "q", "p")]
    first = api.get("/api/experiments?name=a&limit=2").get_json()
    assert [run["iid"] for run in first["results"]] == [ids[2], ids[1]]
    assert first["total"] == 3
    assert listed(api, f"name=a&limit=2&cursor={first['cursor']}") == [ids[0]]
    assert api.get(f"/api/experiments?name=b&limit=2&cursor={first['cursor']}").status_code == 422
    assert api.get(f"/api/experiments?limit=2&cursor={first['cursor']}").status_code == 422


def test_the_runs_of_a_project_are_listed_without_reading_all_at_once(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = begin(api, project="mine")
    for _ in range(5):
        begin(api, project="other")
    assert listed(api, "project=mine") == [mine]
    assert listed(api, "project=mine&limit=1") == [mine]
    monkeypatch.setattr(runs_module, "_LOOKED_AT", 3)
    page = api.get("/api/experiments?project=mine&limit=1").get_json()
    assert page["results"] == []
    assert listed(api, f"project=mine&limit=3&cursor={page['cursor']}") == [mine]


def test_the_list_has_a_thinned_out_accuracy_of_external_runs_too(api: FlaskClient, db: RedisDB) -> None:
    short, long, percent, none = (begin(api) for _ in range(4))
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, test_accuracy=0.25))
    send(api, short, 1, accuracy=[(0, 0.5), (1, "NaN"), (2, 0.75)])
    send(api, long, 1, val_accuracy=[(step, step / 1000) for step in range(1001)], accuracy=[(0, 0.1)])
    send(api, percent, 1, accuracy=[(0, 50.0)])
    rows = api.get("/api/runs?fields=sparkline").get_json()["results"]
    curves = {row["iid"]: row["sparkline"] for row in rows}
    assert curves[short] == [0.5, 0.75]
    assert (len(curves[long]), curves[long][0], curves[long][-1]) == (24, 0.0, 1.0)
    assert curves[long] == sorted(curves[long])
    assert (curves[percent], curves[none], curves[lease.run_id]) == ([], [], [0.25])
