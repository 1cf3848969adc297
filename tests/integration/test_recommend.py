"""GET /api/recommend over a real store: what it answers of runs that were really finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from settings import Settings
from tests.integration.test_leaderboard import finish, finish_script


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def ask(api: FlaskClient, **query: Any) -> dict[str, Any]:
    reply = api.get("/api/recommend", query_string=query)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.get_json()
    return found


def test_the_answer_can_be_submitted_as_it_is(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "a", accuracy=0.97, learning_rate=0.5, trainer="cnn")
    finish(db, "b", accuracy=0.9)
    answer = ask(api, max_co2_g=1)["answer"]
    assert answer["candidate"]["run_id"] == "a"
    assert answer["hyper_params"] == db.runs.get("a").hyper_params
    assert api.post("/train", json={"hyper_params": answer["hyper_params"]}).status_code == 201


def test_seeds_are_one_configuration_and_those_of_bad_luck_count(db: RedisDB, api: FlaskClient) -> None:
    for seed, accuracy in enumerate((0.90, 0.94, 0.99)):
        finish(db, f"s{seed}", accuracy=accuracy, seed=seed)
    finish(db, "other", accuracy=0.95, network="resnet9")
    found = ask(api)
    assert (found["configurations"], found["runs"]) == (2, 4)
    assert found["answer"]["candidate"]["run_id"] == "other"
    assert found["answer"]["beats"][0]["candidate"]["accuracy"] == {
        "n": 3,
        "median": 0.94,
        "low": 0.9,
        "high": 0.99,
    }


def test_a_deleted_run_is_recommended_no_more(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "a", accuracy=0.97)
    finish(db, "b", accuracy=0.9, network="resnet9")
    assert ask(api)["answer"]["candidate"]["run_id"] == "a"
    assert api.delete("/api/runs/a?confirm=a", json={}).status_code == 200
    assert ask(api)["answer"]["candidate"]["run_id"] == "b"


def test_the_run_of_a_script_is_an_answer_that_cannot_be_submitted(db: RedisDB, api: FlaskClient) -> None:
    finish_script(db, "x", 0.9)
    answer = ask(api)["answer"]
    assert answer["candidate"]["is_external"]
    assert answer["hyper_params"] is None


def test_following_the_advice_for_an_impossible_budget_finds_a_run(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "a", accuracy=0.97)
    found = ask(api, max_co2_g=0.001, target_accuracy=0.97)
    assert found["answer"] is None
    (change,) = found["relaxations"][0]["changes"]
    assert (change["limit"], change["needed"]) == ("max_co2_g", 1.0)
    again = ask(api, target_accuracy=0.97, **{change["limit"]: change["needed"]})
    assert again["answer"]["candidate"]["run_id"] == "a"


@pytest.mark.parametrize(
    "query",
    [
        {"max_co2_g": "0"},
        {"max_co2_g": "nan"},
        {"max_energy_kwh": "inf"},
        {"target_accuracy": "97"},
        {"tolerance": "0.1"},
        {"max_duration_s": "-1"},
        {"budget": "1"},
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(api: FlaskClient, query: dict[str, str]) -> None:
    reply = api.get("/api/recommend", query_string=query)
    assert reply.status_code == 422
    assert reply.get_json()["error"]


def test_simulated_runs_are_asked_for_apart(db: RedisDB, api: FlaskClient) -> None:
    finish(db, "s", accuracy=0.99, simulated=True)
    alone = ask(api)
    assert alone["simulated"]
    # The mark is the trainer's own, and is refused from others.
    assert "simulated" not in alone["answer"]["hyper_params"]
    finish(db, "r", accuracy=0.9)
    assert ask(api)["answer"]["candidate"]["run_id"] == "r"
    found = ask(api, simulated="true")
    assert found["answer"]["candidate"]["run_id"] == "s"
    assert (found["simulated"], found["has_real"], found["configurations"]) == (True, True, 1)
