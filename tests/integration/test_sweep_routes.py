"""Sweeps over HTTP, as a program drives and reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from settings import Settings
from tests.sweep_parts import SPACE, step, train, train_all

BODY: dict[str, Any] = {
    "space": SPACE,
    "hyper_params": {"num_epochs": 3},
    "sampler": "nsga2",
    "limits": {"trials": 6},
    "parallel": 2,
}


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def test_a_sweep_is_started_followed_and_drawn(api: FlaskClient, db: RedisDB) -> None:
    started = api.post("/api/sweeps", json=BODY)
    assert started.status_code == 201
    sweep = db.sweeps.get(started.get_json()["sweep_id"])
    path = f"/api/sweeps/{sweep.sweep_id}"
    empty = api.get(f"{path}/figures").get_json()
    assert empty["front"] is None
    assert "no complete trial yet" in empty["missing"]["front"]
    step(db, sweep)
    train(db)
    states = [trial["state"] for trial in api.get(f"{path}/trials").get_json()["trials"]]
    assert states == ["running", "running"]
    train_all(db, sweep)
    trials = api.get(f"{path}/trials").get_json()["trials"]
    assert [trial["number"] for trial in trials] == list(range(6))
    assert api.get(f"/status/{trials[0]['run_id']}").get_json()["options"]["tags"] == [
        f"sweep:{sweep.sweep_id}", "trial:0",
    ]  # fmt: skip
    figures = api.get(f"{path}/figures").get_json()
    points = [trace for trace in json.loads(figures["front"])["data"] if trace["type"] == "scatter"]
    assert len(figures["history"]) == 2
    assert points
    listed = api.get("/api/sweeps").get_json()["sweeps"]
    assert [(item["state"], item["summary"]["counts"]["complete"]) for item in listed] == [("done", 6)]


def test_importances_are_drawn_once_trials_differ(api: FlaskClient, db: RedisDB) -> None:
    sweep_id = api.post("/api/sweeps", json={**BODY, "sampler": "random"}).get_json()["sweep_id"]
    sweep = db.sweeps.get(sweep_id)
    reached = iter([0.3, 0.5, 0.6, 0.7, 0.8, 0.9])
    while not db.sweeps.get(sweep_id).state.is_final:
        step(db, sweep)
        if db.queue.length():
            train(db, accuracy=next(reached))
    figures = api.get(f"/api/sweeps/{sweep_id}/figures").get_json()
    bars = json.loads(figures["importances"])["data"][0]["y"]
    assert set(bars) == set(SPACE)
    assert figures["front"] is not None


def test_a_sweep_is_paused_resumed_stopped_and_forgotten(api: FlaskClient, db: RedisDB) -> None:
    sweep_id = api.post("/api/sweeps", json=BODY).get_json()["sweep_id"]
    path = f"/api/sweeps/{sweep_id}"
    states = [
        api.post(f"{path}/{action}", json={}).get_json()["state"] for action in ("pause", "resume", "stop")
    ]
    assert states == ["paused", "running", "stopping"]
    headers = {"Content-Type": "application/json"}
    assert api.delete(path, headers=headers).status_code == 409
    step(db, db.sweeps.get(sweep_id))
    assert api.get(path).get_json()["state"] == "stopped"
    assert api.post(f"{path}/resume", json={}).status_code == 409
    assert api.delete(path, headers=headers).status_code == 200
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"space": {"learning_rate": {"type": "float", "low": 0.1, "high": 100}}}, "space.learning_rate"),
        ({"sampler": "magic"}, "sampler"),
        ({"limits": {"grams": 3}}, "limits.grams"),
        ({"space": 3}, "space"),
        (
            {"hyper_params": {"network": "alexnet"}, "space": {"dropout": SPACE["batch_size"]}},
            "space.dropout",
        ),
    ],
)
def test_a_request_that_is_not_valid_is_refused_by_field(
    api: FlaskClient, db: RedisDB, changes: dict[str, Any], field: str
) -> None:
    refused = api.post("/api/sweeps", json={**BODY, **changes})
    assert refused.status_code == 422
    assert field in {detail["field"] for detail in refused.get_json()["error"]["details"]}
    assert not db.sweeps.has_active()


@pytest.mark.parametrize("sweep_id", ["0" * 32, "nothing", "%00", "..%2f.."])
def test_a_sweep_that_there_is_not_is_not_found(api: FlaskClient, sweep_id: str) -> None:
    for path in (
        f"/api/sweeps/{sweep_id}",
        f"/api/sweeps/{sweep_id}/trials",
        f"/api/sweeps/{sweep_id}/figures",
    ):
        assert api.get(path).status_code == 404
