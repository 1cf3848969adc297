"""What another version of Wattle wrote about a worker or a run fails no request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import Requires, RunError, RunOptions, Status
from settings import Settings
from store.encoding import EXTRA_FIELDS
from tests.records import TORCH_WORKER, claim, extra, running
from work.routing import list_queues


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def pages(api: FlaskClient, run_id: str) -> list[int]:
    routes = ("/healthz", "/api/workers", "/api/runs", f"/api/runs/{run_id}", f"/api/runs/{run_id}/epochs")
    return [api.get(route).status_code for route in routes]


def test_what_is_not_known_of_a_worker_is_left_out(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    gpu = {"name": "H200", "fan": 0.4}
    raw.hset("worker:w-1", mapping={"npu": "2", "gpu": json.dumps(gpu)})
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    assert pages(api, run_id) == [200] * 5
    assert api.post(f"/api/runs/{run_id}/pause", json={}).status_code == 200
    (found,) = db.workers.list_live()
    assert found.gpu is not None
    assert (found.worker_id, found.gpu.name) == ("w-1", "H200")


@pytest.mark.parametrize(("name", "value"), [("threads", "many"), ("queues", "{"), ("seen_at", "now")])
def test_a_heartbeat_that_cannot_be_read_is_left_out_with_one_warning(
    api: FlaskClient,
    db: RedisDB,
    raw: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
) -> None:
    for worker_id in ("w-1", "w-2"):
        db.workers.beat(TORCH_WORKER.model_copy(update={"worker_id": worker_id}), ttl_s=60)
    raw.hset("worker:w-1", name, value)
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    assert pages(api, run_id) == [200] * 5
    assert api.post(f"/api/runs/{run_id}/cancel", json={}).status_code == 200
    assert [worker.worker_id for worker in db.workers.list_known()] == ["w-2"]
    said = [record.message for record in caplog.records if "heartbeat" in record.message]
    assert len(said) == 1
    assert "w-1" in said[0]


def test_what_is_not_known_of_a_run_is_left_out(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    lease = claim(db)
    db.queue.finish(lease, Status.FAILED, error=RunError(kind="OSError", message="disk full"))
    more = {
        "options": {"queue": "default", "carbon_budget_g": 5},
        "error": {"kind": "OSError", "message": "disk full", "stacks": ["…"]},
    }
    raw.hset(f"run:{run_id}", mapping={name: json.dumps(value) for name, value in more.items()})
    attempt = json.loads(str(raw.hget(f"run:{run_id}:attempts", "1")))
    raw.hset(f"run:{run_id}:attempts", "1", json.dumps(attempt | {"water_l": 1}))
    assert pages(api, run_id) == [200] * 5
    run = db.runs.get(run_id)
    assert run.error == RunError(kind="OSError", message="disk full")
    assert api.post(f"/api/runs/{run_id}/retry", json={}).status_code == 200


def test_what_is_not_known_of_an_extra_cost_is_left_out(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    lease = running(db)
    cost = extra(energy_kwh=0.5, co2_g=50.0)
    db.runs.record_extra(lease, cost)
    (place,) = raw.hkeys(f"run:{lease.run_id}:extras")
    stored = json.loads(str(raw.hget(f"run:{lease.run_id}:extras", place)))
    longer = [*stored, *[None] * (len(EXTRA_FIELDS) - len(stored)), 1]
    raw.hset(f"run:{lease.run_id}:extras", place, json.dumps(longer))
    db.queue.finish(lease, Status.DONE)
    assert db.accounts.list_extras(lease.run_id) == [cost]
    assert api.post(f"/api/runs/{lease.run_id}/recompute", json={}).status_code < 500


def test_what_is_not_known_of_an_event_is_left_out(db: RedisDB, raw: redis.Redis) -> None:
    raw.xadd("events", {"kind": "moved", "run_id": "r", "attempt": 2, "from_host": "a", "event_id": "no"})
    (event,) = db.events.list()
    assert (event.kind, event.run_id, event.attempt, event.event_id != "no") == ("moved", "r", 2, True)


def test_what_is_not_known_of_a_point_of_power_is_left_out(db: RedisDB, raw: redis.Redis) -> None:
    raw.rpush("run:r:power", "1.0", json.dumps([5, {"cpu": 7.5}, "measured"]))
    (point,) = db.power.list("r")
    assert (point.at.timestamp(), point.power_w) == (5, {"cpu": 7.5})


@pytest.mark.parametrize("needs", [{"gpus": 1, "npus": 2}, {"gpus": 1000}])
def test_a_worker_leaves_runs_alone_whose_needs_it_does_not_know(
    db: RedisDB, raw: redis.Redis, needs: dict[str, int]
) -> None:
    known = db.queue.submit({"num_epochs": 1}, RunOptions(requires=Requires(gpus=1)), run_id="known")
    raw.hset("queue:requirements", "default.gpus-1.new", json.dumps({"queue": "default", "requires": needs}))
    raw.lpush("queue:requests:default.gpus-1.new", "foreign")
    worker = TORCH_WORKER.model_copy(update={"gpus": 8})
    queues = list_queues(worker, db.queue.list_requirements())
    assert queues == ["default.gpus-1", "default"]
    lease = db.queue.claim(queues, worker_id="w-1", lease_s=60)
    assert lease is not None
    assert lease.run_id == known.run_id
