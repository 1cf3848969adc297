"""What a sweep will take, told before it is started, from real past runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import RunOptions, Status
from schema.sweeps import SweepRequest
from settings import Settings
from sweeps.drawn import draw_points
from tests.records import claim, epoch
from tests.sweep_parts import SPACE

BODY: dict[str, Any] = {
    "space": {"learning_rate": SPACE["learning_rate"]},
    "hyper_params": {"num_epochs": 3, "network": "lenet5", "dataset": "digits"},
    "sampler": "random",
    "limits": {"trials": 40},
}


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def train(db: RedisDB, api: FlaskClient, network: str, energy_kwh: float) -> None:
    hyper_params = {"num_epochs": 2, "network": network, "dataset": "digits"}
    iid = api.post(
        "/train", json={"hyper_params": hyper_params, "options": RunOptions().model_dump(mode="json")}
    ).get_json()["iid"]
    lease = claim(db)
    assert lease.run_id == iid
    for number in (1, 2):
        cost = {"energy_kwh": energy_kwh, "co2_g": 400 * energy_kwh, "energy_quality": "measured"}
        db.runs.record_epoch(lease, epoch(number, **cost))
    db.queue.finish(lease, Status.DONE)


def ask(api: FlaskClient, **changes: Any) -> dict[str, Any]:
    reply = api.post("/api/sweeps/predict", json={**BODY, **changes})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.get_json()
    return found


def test_a_sweep_takes_what_its_trials_take_with_the_intervals_of_all(api: FlaskClient, db: RedisDB) -> None:
    train(db, api, "lenet5", 0.001)
    train(db, api, "lenet5", 0.002)
    # The trials of a sweep keep a tenth for validation.
    hyper_params = {**BODY["hyper_params"], "validation_fraction": 0.1}
    one = api.post("/api/predict", json={"hyper_params": hyper_params}).get_json()
    whole = ask(api)
    for name in ("energy_kwh", "co2_g", "duration_s"):
        assert whole[name]["value"] == pytest.approx(40 * one[name]["value"])
        assert whole[name]["low"] == pytest.approx(40 * one[name]["low"])
        assert whole[name]["high"] == pytest.approx(40 * one[name]["high"])
    assert whole["energy_kwh"]["low"] < whole["energy_kwh"]["high"]
    assert whole["energy_quality"] == "measured"
    assert "At most 40 trials, predicted from 24 drawn at random" in whole["basis"]
    assert ask(api, limits={"trials": 4})["co2_g"]["value"] == pytest.approx(4 * one["co2_g"]["value"])
    assert db.sweeps.list(10) == []


def test_what_nobody_knows_of_one_network_is_not_made_up_of_another(api: FlaskClient, db: RedisDB) -> None:
    assert ask(api)["energy_kwh"] is None
    train(db, api, "lenet5", 0.001)
    grid = {
        "space": {"network": SPACE["network"]}, "sampler": "grid", "limits": {},
        "hyper_params": {"num_epochs": 3, "dataset": "digits"},
    }  # fmt: skip
    told = ask(api, **grid)
    assert (told["energy_kwh"], told["co2_g"]) == (None, None)
    assert "Unknown: of 1 of 2 configurations, of small_cnn, there is no past run" in told["basis"]
    train(db, api, "small_cnn", 0.003)
    assert ask(api, **grid)["energy_kwh"]["value"] == pytest.approx(3 * 0.9 * (0.001 + 0.003))


def test_what_is_no_sweep_is_refused_as_at_its_start(api: FlaskClient) -> None:
    body = {**BODY, "space": {"learning_rate": {"type": "float", "low": 2, "high": 1}}}
    refused = api.post("/api/sweeps/predict", json=body)
    assert refused.status_code == 422
    assert refused.get_json() == api.post("/api/sweeps", json=body).get_json()


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_points_that_are_drawn_lie_in_the_space(sampler: str) -> None:
    space: dict[str, Any] = {
        "batch_size": {"type": "int", "low": 16, "high": 128, "step": 16},
        "momentum": {"type": "float", "low": 0.5, "high": 0.9, "step": 0.1},
        "network": SPACE["network"],
    }
    if sampler != "grid":
        space |= {
            "learning_rate": SPACE["learning_rate"],
            "width": {"type": "int", "low": 1, "high": 8, "log": True},
        }
    body = {"space": space, "sampler": sampler, "limits": {"trials": 60}}
    request = SweepRequest.model_validate(body)
    points = draw_points(request, 24)
    assert 15 <= len(points) <= 24
    assert draw_points(request, 24) == points
    for point in points:
        assert point["batch_size"] in range(16, 129, 16)
        assert 0.5 <= float(str(point["momentum"])) <= 0.9
        assert point["network"] in ("small_cnn", "lenet5")
        assert 1e-4 <= float(str(point.get("learning_rate", 0.01))) <= 0.1
        assert point.get("width", 1) in range(1, 9)
    assert len({str(point) for point in points}) > 10


def test_what_is_drawn_of_a_grid_has_every_choice_and_is_what_will_be_trained_first() -> None:
    space = {"seed": {"type": "int", "low": 0, "high": 23}, "network": SPACE["network"]}
    request = SweepRequest.model_validate({"space": space, "sampler": "grid", "limits": {"trials": 48}})
    drawn = draw_points(request, 24)
    assert {point["network"] for point in drawn} == {"small_cnn", "lenet5"}
    assert drawn == draw_points(request, 48)[:24]
    few = request.model_copy(update={"limits": request.limits.model_copy(update={"trials": 24})})
    assert draw_points(few, 48) == drawn
    assert max(int(str(point["seed"])) for point in drawn) > 12, "also of the end of the grid"


@pytest.mark.parametrize("tenths", range(2, 10))
def test_every_step_of_a_range_may_be_drawn_up_to_its_end(tenths: int) -> None:
    space = {"momentum": {"type": "float", "low": 0.1, "high": tenths / 10, "step": 0.1}}
    request = SweepRequest.model_validate({"space": space, "sampler": "random", "limits": {"trials": 500}})
    drawn = {point["momentum"] for point in draw_points(request, 500)}
    assert drawn == {number / 10 for number in range(1, tenths + 1)}
