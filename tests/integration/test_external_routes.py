"""Runs that people's own scripts report, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from redis_db import RedisDB
from schema import RunOptions, Status
from settings import Settings

JSON = "application/json"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        max_batch_bytes=20_000,
        max_batch_points=100,
        max_metrics=5,
        max_metric_points=150,
        page_url="http://page.example:8501",
    )


@pytest.fixture
def app(db: RedisDB, settings: Settings) -> APIFlask:
    return create_app(settings, db)


@pytest.fixture
def api(app: APIFlask) -> FlaskClient:
    return app.test_client()


def begin(api: FlaskClient, name: str = "resnet50_training", **more: object) -> str:
    reply = api.post("/api/experiments", json={"name": name, **more})
    assert reply.status_code == 201, reply.text
    iid = reply.get_json()["iid"]
    assert isinstance(iid, str)
    return iid


def points(values: list[Any], *, first: int = 0) -> dict[str, list[Any]]:
    steps = list(range(first, first + len(values)))
    return {"steps": steps, "values": values, "times": [1e9 + step for step in steps]}


def send(
    api: FlaskClient, iid: str, metrics: dict[str, object], *, seq: int = 1, session: str = "s1"
) -> TestResponse:
    return api.post(f"/api/metrics/{iid}", json={"session": session, "seq": seq, "points": metrics})


def summaries(api: FlaskClient, iid: str) -> dict[str, dict[str, Any]]:
    return {metric["name"]: metric for metric in api.get(f"/api/metrics/{iid}").get_json()["names"]}


def error_of(reply: TestResponse) -> tuple[int, str]:
    return reply.status_code, reply.get_json()["error"]["message"]


def test_an_experiment_is_a_run_like_any_other(api: FlaskClient) -> None:
    iid = begin(
        api,
        project="image_classification",
        params={"lr": 0.1, "num_epochs": 4, "model": {"depth": 50}},
        tags=["first", "gpu=a100"],
        environment={"python": "3.12"},
    )
    run = api.get(f"/api/experiments/{iid}").get_json()
    assert run == api.get(f"/status/{iid}").get_json() == api.get(f"/api/runs/{iid}").get_json()
    assert (run["name"], run["is_external"], run["status"]) == ("resnet50_training", True, "running")
    assert run["hyper_params"] == {"lr": 0.1, "num_epochs": 4, "model": {"depth": 50}}
    assert run["options"]["project"] == "image_classification"
    assert run["options"]["tags"] == ["first", "gpu=a100"]
    assert (run["num_epochs"], run["progress"], run["attempt"]) == (4, None, 0)
    assert run["heard_at"] == run["started_at"] == run["time_added"]
    listed = api.get("/api/experiments").get_json()
    assert [row["iid"] for row in listed["results"]] == [iid]
    assert listed["counts"]["running"] == 1
    assert api.get("/healthz").get_json()["waiting"] == 0


def test_the_same_key_answers_with_the_same_run(api: FlaskClient) -> None:
    body, headers = {"name": "a"}, {"Idempotency-Key": "k"}
    first = api.post("/api/experiments", json=body, headers=headers)
    again = api.post("/api/experiments", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json()["iid"] == again.get_json()["iid"]
    assert api.post("/api/experiments", json={"name": "b"}, headers=headers).status_code == 409


def test_a_batch_can_be_read_as_soon_as_it_was_answered(api: FlaskClient) -> None:
    iid = begin(api)
    reply = send(api, iid, {"loss": points([2.0, 1.0, 1.5]), "val/accuracy": points([0.5])})
    assert (reply.status_code, reply.get_json()) == (200, {"seq": 1, "accepted": 4, "request": None})
    known = summaries(api, iid)
    assert known["loss"] == {
        "name": "loss",
        "count": 3,
        "last_step": 2,
        "last_value": 1.5,
        "min": 1.0,
        "max": 2.0,
    }
    assert known["val/accuracy"]["count"] == 1


def test_a_batch_that_comes_again_counts_once(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"loss": points([2.0])})
    send(api, iid, {"loss": points([1.0], first=1)}, seq=2)
    again = send(api, iid, {"loss": points([2.0])})
    assert (again.status_code, again.get_json()) == (200, {"seq": 1, "accepted": 0, "request": None})
    assert summaries(api, iid)["loss"]["count"] == 2
    assert send(api, iid, {"loss": points([2.0])}, session="s2").get_json()["accepted"] == 1
    assert summaries(api, iid)["loss"]["count"] == 3


@pytest.mark.one_server
def test_a_batch_is_one_round_trip(api: FlaskClient, raw: redis.Redis) -> None:
    iid = begin(api)
    send(api, iid, {"loss": points([2.0])})
    raw.config_resetstat()
    send(api, iid, {"loss": points([1.0], first=1)}, seq=2)
    sent = set(raw.info("commandstats"))
    assert "cmdstat_evalsha" in sent
    assert "cmdstat_hgetall" not in sent, "the run is not read before"


def test_a_gap_is_accepted_and_told_in_the_log(api: FlaskClient) -> None:
    iid = begin(api)
    assert send(api, iid, {"loss": points([2.0])}, seq=4).get_json()["accepted"] == 1
    lines = api.get(f"/api/logs/{iid}").get_json()["lines"]
    assert [line["text"] for line in lines] == ["batches 1 to 3 of the session s1 never came"]


def test_what_is_not_finite_survives(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"loss": points(["NaN", 1.0, "-Infinity", "Infinity"])})
    assert summaries(api, iid)["loss"] == {
        "name": "loss",
        "count": 4,
        "last_step": 3,
        "last_value": "Infinity",
        "min": 1.0,
        "max": 1.0,
    }
    run = api.get(f"/api/runs/{iid}").get_json()
    assert run["last_loss"] is None


def test_the_largest_steps_are_kept_exactly(api: FlaskClient) -> None:
    iid = begin(api)
    top = 2**63 - 1
    send(api, iid, {"loss": {"steps": [top - 1], "values": [2.0], "times": [0]}})
    send(api, iid, {"loss": {"steps": [top, 9], "values": [1.0, 5.0], "times": [0, 0]}}, seq=2)
    send(api, iid, {"loss": {"steps": [top - 1], "values": [3.0], "times": [0]}}, seq=3)
    known = summaries(api, iid)["loss"]
    assert (known["last_step"], known["last_value"], known["count"]) == (top, 1.0, 4)


def test_of_one_step_the_value_that_came_last_is_the_last(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"loss": {"steps": [7, 7], "values": [2.0, 3.0], "times": [0, 0]}})
    assert summaries(api, iid)["loss"]["last_value"] == 3.0
    send(api, iid, {"loss": {"steps": [7], "values": [4.0], "times": [0]}}, seq=2)
    assert summaries(api, iid)["loss"]["last_value"] == 4.0


def test_the_summary_of_the_run_comes_from_its_metrics(api: FlaskClient) -> None:
    iid = begin(api, params={"num_epochs": 4}, environment={"energy_quality": "measured"})
    send(
        api,
        iid,
        {
            "val_accuracy": points([0.5, 0.75, 0.625]),
            "accuracy": points([0.99]),
            "loss": points([3.0, 2.0]),
            "energy_kwh": points([0.25, 0.5]),
            "epoch": points([1, 2, 3]),
        },
    )
    run = api.get(f"/api/runs/{iid}").get_json()
    assert (run["best_accuracy"], run["last_accuracy"], run["last_loss"]) == (0.75, 0.625, 2.0)
    assert (run["energy_kwh"], run["co2_g"], run["accuracy_per_kwh"]) == (0.75, None, 1.0)
    assert (run["energy_quality"], run["epochs_done"], run["progress"]) == ("measured", 3, 0.75)
    assert run["duration_s"] >= 0
    total = api.get("/api/totals?by=project").get_json()["totals"][0]
    assert (total["name"], total["real"]["energy_kwh"], total["real"]["epochs"]) == ("default", 0.75, 0)


def test_accuracies_in_percent_are_not_taken_for_fractions(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"test_accuracy": points([55.0]), "accuracy": points([0.55])})
    assert api.get(f"/api/runs/{iid}").get_json()["best_accuracy"] == 0.55
    send(api, iid, {"accuracy": points([1.5], first=1)}, seq=2)
    assert api.get(f"/api/runs/{iid}").get_json()["best_accuracy"] is None


def test_an_energy_that_is_not_known_makes_the_sum_unknown(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"energy_kwh": points([0.25]), "co2_g": points([-3.0])})
    assert api.get(f"/api/runs/{iid}").get_json()["energy_kwh"] == 0.25
    assert api.get(f"/api/runs/{iid}").get_json()["co2_g"] is None
    send(api, iid, {"energy_kwh": points(["NaN"], first=1)}, seq=2)
    run = api.get(f"/api/runs/{iid}").get_json()
    assert (run["energy_kwh"], run["unknown_energy_epochs"]) == (None, 1)


def test_a_batch_without_points_is_a_sign_of_life(api: FlaskClient, db: RedisDB) -> None:
    iid = begin(api)
    before = db.runs.get(iid).heard_at
    assert send(api, iid, {}).get_json() == {"seq": 1, "accepted": 0, "request": None}
    after = db.runs.get(iid).heard_at
    assert before is not None
    assert after is not None
    assert after > before


def test_the_script_hears_that_its_run_is_to_be_cancelled(api: FlaskClient) -> None:
    iid = begin(api)
    asked = api.post(f"/api/runs/{iid}/cancel", json={}).get_json()
    assert (asked["status"], asked["request"]) == ("running", "cancel")
    assert send(api, iid, {}).get_json()["request"] == "cancel"
    ended = api.post(f"/api/experiments/{iid}/status", json={"status": "cancelled"}).get_json()
    assert (ended["status"], ended["request"], ended["status_reason"]) == (
        "cancelled",
        None,
        "cancelled on request",
    )


@pytest.mark.parametrize(
    ("stated", "status"),
    [("completed", "done"), ("done", "done"), ("failed", "failed"), ("cancelled", "cancelled")],
)
def test_a_script_ends_its_run(api: FlaskClient, stated: str, status: str) -> None:
    iid = begin(api)
    send(api, iid, {"accuracy": points([0.5])})
    for _ in range(2):
        reply = api.post(f"/api/experiments/{iid}/status", json={"status": stated, "reason": "enough"})
        run = reply.get_json()
        assert (reply.status_code, run["status"], run["status_reason"]) == (200, status, "enough")
    assert run["ended_at"] is not None
    other = "failed" if status == "done" else "done"
    refused = api.post(f"/api/experiments/{iid}/status", json={"status": other})
    assert error_of(refused)[0] == 409
    assert [row["iid"] for row in api.get(f"/api/runs?status={status}").get_json()["results"]] == [iid]
    best = api.get("/api/runs?sort=best_accuracy&limit=5").get_json()
    assert [row["iid"] for row in best["results"]] == [iid]


def test_a_failure_is_explained_in_the_words_of_the_script(api: FlaskClient) -> None:
    iid = begin(api)
    error = {"kind": "ValueError", "message": "bad shape", "traceback": "Traceback …"}
    body = {"status": "failed", "error": error}
    run = api.post(f"/api/experiments/{iid}/status", json=body).get_json()
    assert run["failure"]["sentence"] == "Its script failed: bad shape"
    assert (run["failure"]["kind"], run["failure"]["traceback"]) == ("ValueError", "Traceback …")


def test_points_that_come_after_the_end_are_kept(api: FlaskClient) -> None:
    iid = begin(api)
    send(api, iid, {"accuracy": points([0.5])})
    api.post(f"/api/experiments/{iid}/status", json={"status": "done"})
    send(api, iid, {"accuracy": points([0.75], first=1)}, seq=2)
    listed = api.get("/api/runs?sort=best_accuracy").get_json()
    run = listed["results"][0]
    assert listed["total"] == 1, "it is in the lists of one status only"
    assert (run["iid"], run["status"], run["best_accuracy"]) == (iid, "done", 0.75)


def test_a_script_goes_on_with_its_run(api: FlaskClient) -> None:
    iid = begin(api, params={"lr": 1}, tags=["a"])
    api.post(f"/api/experiments/{iid}/status", json={"status": "failed"})
    body = {"name": "other", "resume": iid, "params": {"lr": 2}, "tags": ["b"]}
    reply = api.post("/api/experiments", json=body)
    run = reply.get_json()
    assert (reply.status_code, run["iid"], run["status"]) == (200, iid, "running")
    assert (run["name"], run["hyper_params"]) == ("resnet50_training", {"lr": 2})
    assert run["options"]["tags"] == ["a", "b"]
    assert run["ended_at"] is None
    assert api.post("/api/experiments", json=body).status_code == 200
    assert send(api, iid, {"loss": points([1.0])}).get_json()["accepted"] == 1


def test_what_is_no_run_of_a_script_cannot_be_gone_on_with(api: FlaskClient) -> None:
    queued = api.post("/train", json={"num_epochs": 1}).get_json()["iid"]
    for path, body in (
        (f"/api/metrics/{queued}", {"session": "s", "seq": 1, "points": {}}),
        (f"/api/logs/{queued}", {"session": "s", "seq": 1, "lines": []}),
        (f"/api/experiments/{queued}/status", {"status": "done"}),
        (f"/api/experiments/{queued}/params", {"params": {"a": 1}}),
        ("/api/experiments", {"name": "a", "resume": queued, "tags": ["t"], "params": {"lr": 2}}),
    ):
        assert error_of(api.post(path, json=body))[0] == 409, path
        missing = {**body, "resume": "nobody"} if "resume" in body else body
        assert error_of(api.post(path.replace(queued, "nobody"), json=missing))[0] == 404, path
    run = api.get(f"/api/runs/{queued}").get_json()
    assert (run["status"], run["options"]["tags"]) == ("waiting", [])
    assert "lr" not in run["hyper_params"]


def test_a_resumption_that_is_refused_leaves_the_run_ended(api: FlaskClient) -> None:
    iid = begin(api)
    api.post(f"/api/experiments/{iid}/status", json={"status": "done"})
    for more in ({"params": {"text": "x" * 70_000}}, {"tags": ["x" * 65]}):
        assert api.post("/api/experiments", json={"name": "a", "resume": iid, **more}).status_code == 422
    assert api.get(f"/api/runs/{iid}").get_json()["status"] == "done"


def test_retrying_all_failed_runs_does_not_stop_at_those_of_scripts(api: FlaskClient, db: RedisDB) -> None:
    for _ in range(3):
        db.external.end(begin(api), Status.FAILED)
    queued = api.post("/train", json={"num_epochs": 1}).get_json()["iid"]
    api.post(f"/api/runs/{queued}/cancel", json={})
    failed = db.queue.submit({"num_epochs": 1}, RunOptions(queue="w"))
    lease = db.queue.claim(["w"], worker_id="w", lease_s=60)
    assert lease is not None
    db.queue.finish(lease, Status.FAILED)
    reply = api.post("/api/runs/bulk", json={"action": "retry", "status": "failed"}).get_json()
    assert [outcome["iid"] for outcome in reply["outcomes"]] == [failed.run_id]
    assert (reply["succeeded"], reply["left"]) == (1, 3)


def test_the_root_leads_to_the_page(api: FlaskClient) -> None:
    reply = api.get("/")
    assert (reply.status_code, reply.headers["Location"]) == (302, "http://page.example:8501")
    assert api.get("/api/page").get_json() == {"page_url": "http://page.example:8501"}


def test_the_run_is_in_the_store_as_the_page_shows_it(api: FlaskClient, db: RedisDB) -> None:
    run = db.runs.get(begin(api))
    assert (run.status, run.is_external, run.num_epochs) == (Status.RUNNING, True, None)


@pytest.mark.parametrize("energy_kwh", [0, 5e-324])
def test_an_energy_of_next_to_nothing_gives_no_ratio(api: FlaskClient, energy_kwh: float) -> None:
    iid = begin(api)
    send(api, iid, {"energy_kwh": points([energy_kwh]), "accuracy": points([1.0])})
    run = api.get(f"/api/runs/{iid}").get_json()
    assert (run["energy_kwh"], run["best_accuracy"], run["accuracy_per_kwh"]) == (energy_kwh, 1.0, None)
