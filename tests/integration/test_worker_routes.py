"""Who works, who fell silent, and who has their runs; over a real store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.records import TORCH_WORKER, claim

JSON = "application/json"


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def beat(db: RedisDB, worker_id: str, *, ttl_s: float = 60, **changes: object) -> bool:
    worker = TORCH_WORKER.model_copy(update={"worker_id": worker_id, "name": worker_id, **changes})
    return db.workers.beat(worker, ttl_s=ttl_s)


def silence(raw: redis.Redis, worker_id: str, *, since_s: float = 30.0) -> None:
    """Let the heartbeat of a worker have expired."""
    now_s = float(raw.time()[0])
    raw.zadd("workers", {worker_id: now_s - since_s})


def list_workers(api: FlaskClient) -> list[dict[str, Any]]:
    reply = api.get("/api/workers")
    assert reply.status_code == 200
    found: list[dict[str, Any]] = reply.get_json()["workers"]
    return found


def drain(api: FlaskClient, worker_id: str, is_draining: object = True) -> tuple[int, dict[str, Any]]:
    reply = api.post(f"/api/workers/{worker_id}/drain", json={"is_draining": is_draining})
    return reply.status_code, reply.get_json()


def test_without_workers_the_list_is_empty(api: FlaskClient) -> None:
    assert list_workers(api) == []


def test_a_live_worker_shows_its_run_and_the_age_of_its_heartbeat(api: FlaskClient, db: RedisDB) -> None:
    run_id = db.queue.submit({"num_epochs": 3}).run_id
    claim(db, worker_id="w-1")
    beat(db, "w-1", run_id=run_id, epoch=0)
    beat(db, "w-2")
    busy, idle = list_workers(api)
    assert (busy["worker_id"], busy["is_live"], busy["gone_at"]) == ("w-1", True, None)
    assert 0 <= busy["heartbeat_age_s"] < 30
    assert busy["status_line"] == f"trains run {run_id}, epoch 1 of 3"
    assert busy["run"] == {
        "iid": run_id, "status": "running", "attempt": 1, "epochs_done": 0, "num_epochs": 3,
        "taken_by": None, "taken_at": None,
    }  # fmt: skip
    assert (idle["status_line"], idle["run"]) == ("waits for a run", None)


def test_a_silent_worker_tells_when_its_run_was_given_to_whom(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    run_id = db.queue.submit({"num_epochs": 3}).run_id
    lease = claim(db, worker_id="a-1")
    beat(db, "a-1", run_id=run_id)
    silence(raw, "a-1")
    assert list_workers(api)[0]["status_line"].endswith("once the lease has expired")

    db.queue.release(lease, reason="its worker stopped answering")
    assert list_workers(api)[0]["status_line"].endswith("waits for another worker")

    claim(db, worker_id="b-2")
    beat(db, "b-2", run_id=run_id)
    live, gone = list_workers(api)
    assert (live["worker_id"], gone["worker_id"], gone["is_live"]) == ("b-2", "a-1", False)
    taken_at = db.runs.list_attempts(run_id)[1].started_at
    assert (gone["run"]["attempt"], gone["run"]["taken_by"]) == (1, "b-2")
    assert gone["status_line"].endswith(f"was given to b-2 at {taken_at:%H:%M:%S} UTC")

    db.controls.cancel(run_id)
    db.queue.finish(claim(db, worker_id="b-2"), Status.CANCELLED)
    db.controls.delete(run_id)
    live, gone = list_workers(api)
    assert (live["status_line"], live["run"]) == ("waits for a run", None)
    assert gone["status_line"].endswith("its run was deleted")


def test_the_newest_100_silent_workers_are_shown_the_last_seen_first(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    for number in range(103):
        beat(db, f"w-{number}")
        silence(raw, f"w-{number}", since_s=200 - number)
    beat(db, "alive")
    names = [worker["worker_id"] for worker in list_workers(api)]
    assert names == ["alive", *(f"w-{number}" for number in range(102, 2, -1))]


def test_a_worker_is_asked_to_drain_learns_it_and_is_let_go_on(api: FlaskClient, db: RedisDB) -> None:
    beat(db, "w-1")
    for _ in range(2):
        status, answer = drain(api, "w-1")
        assert (status, answer["is_draining"]) == (200, True)
        assert "is being drained" in answer["status_line"]
    assert beat(db, "w-1") is True
    status, answer = drain(api, "w-1", is_draining=False)
    assert (status, answer["is_draining"]) == (200, False)
    assert beat(db, "w-1") is False


def test_a_run_waits_for_nobody_who_is_being_drained(api: FlaskClient, db: RedisDB) -> None:
    run_id = db.queue.submit({"num_epochs": 3}).run_id
    beat(db, "w-1")
    drain(api, "w-1")
    line = api.get(f"/api/runs/{run_id}").get_json()["status_line"]
    assert line.startswith("waiting: every live worker that takes runs of the queue default is being drained")


def test_a_worker_that_is_not_alive_cannot_be_drained(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    beat(db, "w-1")
    silence(raw, "w-1")
    for worker_id in ("w-1", "nobody", "%00", "%ff", "x" * 5000, "é"):
        status, answer = drain(api, worker_id)
        assert (status, answer["error"]["code"]) == (404, "not_found"), worker_id


@pytest.mark.parametrize("body", [{}, {"is_draining": 1}, {"is_draining": "true"}, {"is_draining": None}, []])
def test_only_true_and_false_drain(api: FlaskClient, db: RedisDB, body: object) -> None:
    beat(db, "w-1")
    reply = api.post("/api/workers/w-1/drain", json=body)
    assert reply.status_code == 422
    assert beat(db, "w-1") is False


def test_workers_are_drained_by_no_other_site_and_by_no_form(api: FlaskClient, db: RedisDB) -> None:
    beat(db, "w-1")
    body = b'{"is_draining": true}'
    path = "/api/workers/w-1/drain"
    assert api.post(path, data=body, content_type="text/plain").status_code == 415
    evil = {"Origin": "https://evil.example"}
    assert api.post(path, data=body, content_type=JSON, headers=evil).status_code == 403
    assert beat(db, "w-1") is False


def test_a_heartbeat_s_age_is_told_by_the_clock_of_redis(api: FlaskClient, db: RedisDB) -> None:
    wrong = TORCH_WORKER.seen_at - timedelta(days=365)
    beat(db, "w-1", seen_at=wrong)
    assert list_workers(api)[0]["heartbeat_age_s"] < 30
