"""Parts of archived runs that nobody has opened for a while: every route that needs one brings it back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from flask.testing import FlaskClient
from safetensors.numpy import save

from api.retention.retaining import Retaining
from api.state import state_of
from archive.moving import Moving
from backend import create_app
from redis_db import RedisDB
from schema import ExtraCost, RetentionPolicy, RunOptions, Status
from settings import Settings
from tests.integration.test_archive import DONE
from tests.integration.test_export import export, send
from tests.records import claim

WEIGHTS = save({"w": np.zeros(10, dtype=np.float32)})
TENSORS = "application/octet-stream"


def settings(place: Path) -> Settings:
    return Settings(_env_file=None, data_dir=place)


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(settings(tmp_path / "here"), db)
    yield app.test_client()
    state_of(app).archive.close()


def send_weights(api: FlaskClient) -> str:
    """Return a run of a script that has sent weights and ended."""
    run_id: str = api.post("/api/experiments", json={"name": "mine", "project": "p"}).get_json()["iid"]
    sent = api.post(f"/api/artifacts/{run_id}/w?kind=checkpoint&step=1", data=WEIGHTS, content_type=TENSORS)
    assert sent.status_code == 201
    return run_id


def end(api: FlaskClient, run_id: str) -> None:
    assert api.post(f"/api/experiments/{run_id}/status", json={"status": "done"}).status_code == 200


def archive_now(api: FlaskClient) -> None:
    state = state_of(api.application)
    assert Moving(state.db, state.archive, state.settings, time.time).move_all(older_than_s=-1.0).moved


def test_a_model_is_downloaded_after_its_import_though_nobody_opened_its_run(
    api: FlaskClient, db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    run_id = send_weights(api)
    made = api.post("/api/models", json={"run_id": run_id, "name": "m", "artifact": "w"})
    assert made.status_code == 201
    end(api, run_id)
    content = export(api)
    raw.flushall()
    shutil.copytree(tmp_path / "here", tmp_path / "there", ignore=shutil.ignore_patterns("archive*"))
    app = create_app(settings(tmp_path / "there"), db)
    there = app.test_client()
    assert send(there, content).get_json()["others"]["models"] == 1
    got = there.get("/api/models/m/1/file")
    assert (got.status_code, got.data) == (200, WEIGHTS)
    state_of(app).archive.close()


def test_changes_that_need_a_part_of_an_archived_run_name_the_way_back(
    api: FlaskClient, raw: redis.Redis
) -> None:
    run_id = send_weights(api)
    end(api, run_id)
    archive_now(api)
    assert not raw.keys(f"run:{run_id}:artifact*")
    model = {"run_id": run_id, "name": "m", "artifact": "w"}
    for method, path, body in (
        ("DELETE", f"/api/artifacts/{run_id}/w?version=1", {}),
        ("POST", "/api/models", model),
    ):
        for key in raw.keys(f"run:{run_id}:*"):
            raw.delete(key)
        reply = api.open(path, method=method, json=body)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (409, "conflict"), reply.text
        assert f"POST /api/runs/{run_id}/restore" in reply.get_json()["error"]["message"]
    assert api.post(f"/api/runs/{run_id}/restore", json={}).status_code == 200
    assert api.post("/api/models", json=model).status_code == 201


def test_a_policy_leaves_weights_of_archived_runs_alone_whether_they_were_opened_or_not(
    api: FlaskClient, db: RedisDB
) -> None:
    run_id = send_weights(api)
    end(api, run_id)
    retaining = Retaining(db, state_of(api.application).settings)
    policy = RetentionPolicy(keep_last=0)
    assert len(retaining.plan("p", policy).deletes) == 1
    archive_now(api)
    assert retaining.plan("p", policy).deletes == []
    assert api.get(f"/api/artifacts/{run_id}").get_json()["artifacts"]
    assert retaining.plan("p", policy).deletes == []


def test_what_an_archived_run_used_besides_its_epochs_is_still_known(api: FlaskClient, db: RedisDB) -> None:
    db.queue.submit({"num_epochs": 1}, RunOptions(queue="mine"), run_id=DONE)
    lease = claim(db, queue="mine")
    cost = ExtraCost(
        name="compile", attempt=1, energy_kwh=0.25, duration_s=3.0, span_s=3.0, ended_at=db.now()
    )
    db.runs.record_extra(lease, cost)
    db.queue.finish(lease, Status.DONE)
    before = db.accounts.list_extras(DONE)
    assert [extra.energy_kwh for extra in before] == [0.25]
    archive_now(api)
    assert db.accounts.list_extras(DONE) == before


def test_a_run_of_more_metrics_than_lua_hands_over_at_once_is_restored(
    db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    most = 9_000
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, max_metrics=most), db)
    api = app.test_client()
    run_id = api.post("/api/experiments", json={"name": "wide"}).get_json()["iid"]
    for seq, first in enumerate(range(0, most, 500), 1):
        points = {
            f"m{place}": {"steps": [1], "values": [0.5], "times": [1.0]}
            for place in range(first, first + 500)
        }
        reply = api.post(f"/api/metrics/{run_id}", json={"session": "a", "seq": seq, "points": points})
        assert reply.status_code == 200, reply.text
    end(api, run_id)
    archive_now(api)
    restored = api.post(f"/api/runs/{run_id}/restore", json={})
    assert (restored.status_code, restored.get_json().get("archived")) == (200, False), restored.text
    assert raw.hlen(f"run:{run_id}:metrics") == most
    assert raw.ttl(f"run:{run_id}:points:m8999") == -1
    state_of(app).archive.close()
