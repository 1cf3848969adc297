"""GET /api/recommend/next over a real store: what it proposes of runs that were really finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from backend import create_app
from bench.next_try import draw, with_luck
from leaderboard.board import Board
from redis_db import RedisDB
from schema import RunOptions, Status
from settings import Settings
from tests.programs import wait_until
from tests.records import claim, epoch


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def finish_many(db: RedisDB, count: int, *, first: int = 0) -> None:
    """Finish so many configurations of a made-up trainer, as their workers."""
    chance = np.random.default_rng(3 + first)
    for number in range(first, first + count):
        params = draw(chance)
        accuracy, co2_g = with_luck(params, chance)
        run_id = f"t{number}"
        db.queue.submit(params, RunOptions(queue=run_id), run_id=run_id)
        lease = claim(db, worker_id=f"w{number}", queue=run_id)
        cost = {"energy_kwh": co2_g / 400, "energy_quality": "measured", "co2_g": co2_g}
        db.runs.describe(lease, {"device": "cpu"})
        db.runs.record_epoch(lease, epoch(1, test_accuracy=accuracy, **cost))
        db.queue.finish(lease, Status.DONE)


def ask(api: FlaskClient, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_known() -> bool:
        reply = api.get("/api/recommend/next", query_string=query)
        assert reply.status_code == 200, reply.text
        found.update(reply.get_json())
        return not found["is_working"]

    wait_until(is_known, timeout_s=120, what="it is worked out")
    return found


def test_what_is_proposed_can_be_submitted_and_is_then_not_proposed_again(
    db: RedisDB, api: FlaskClient
) -> None:
    finish_many(db, 20)
    found = ask(api)
    assert (found["dataset"], found["device"], found["configurations"]) == ("digits", "cpu", 20)
    proposed = found["trial"]["hyper_params"]
    assert all(db.runs.get(f"t{number}").hyper_params != proposed for number in range(20))
    assert ask(api) == found
    assert api.post("/train", json={"hyper_params": {**proposed, "seed": 7}}).status_code == 201
    second = ask(api)["trial"]["hyper_params"]
    assert {**second, "seed": 0} != {**proposed, "seed": 0}


def test_too_few_runs_are_not_learnt_from(db: RedisDB, api: FlaskClient) -> None:
    assert ask(api)["trial"] is None
    finish_many(db, 3)
    found = ask(api)
    assert (found["trial"], found["configurations"], found["needed"]) == (None, 3, 12)
    assert "12 configurations of digits on cpu whose CO₂ is known are needed" in found["reason"]
    assert ask(api, device="H200")["configurations"] == 0


def test_another_finished_run_of_the_dataset_is_learnt_from_too(db: RedisDB, api: FlaskClient) -> None:
    finish_many(db, 13)
    assert ask(api)["learnt_from"] == 13
    finish_many(db, 1, first=13)
    assert ask(api)["learnt_from"] == 14


def test_what_was_run_is_known_by_its_hyperparameters_alone(db: RedisDB) -> None:
    finish_many(db, 3)
    table = Board(db).refresh()
    for run_id, configuration in zip(table.all_ids(), table.columns["configuration"].tolist(), strict=True):
        params = {**db.runs.get(run_id).hyper_params, "seed": 99}
        assert db.finished.configuration_of(params, device="cpu", simulated=False) == configuration
        assert db.finished.configuration_of(params, device="H200", simulated=False) != configuration


def test_a_budget_that_makes_no_sense_is_refused(api: FlaskClient) -> None:
    assert api.get("/api/recommend/next?max_co2_g=0").status_code == 422
    assert api.get("/api/recommend/next?tolerance=1").status_code == 422
