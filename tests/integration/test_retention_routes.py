"""A policy says what it deletes, deletes exactly that, and never what a model or a living run needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.artifacts.keeping import ArtifactKeeper
from backend import create_app
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.programs import wait_until
from tests.records import claim
from tests.saved import save_models
from tests.weights import safetensors

BYTES = "application/octet-stream"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def api(db: RedisDB, settings: Settings) -> FlaskClient:
    return create_app(settings, db).test_client()


def run_with_weights(api: FlaskClient, accuracies: tuple[float, ...] = (0.1, 0.9, 0.5), **body: Any) -> str:
    iid = str(api.post("/api/experiments", json={"name": "a", "project": "lab", **body}).get_json()["iid"])
    for epoch, accuracy in enumerate(accuracies):
        query = f'kind=checkpoint&step={epoch}&metrics={{"accuracy":{accuracy}}}'
        sent = api.post(f"/api/artifacts/{iid}/w?{query}", data=safetensors(), content_type=BYTES)
        assert sent.status_code == 201
    return iid


def end(api: FlaskClient, iid: str) -> None:
    assert api.post(f"/api/experiments/{iid}/status", json={"status": "done"}).status_code == 200


def put(api: FlaskClient, **policy: Any) -> TestResponse:
    return api.put("/api/projects/lab/retention", json=policy)


def plan(api: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = api.post("/api/projects/lab/retention/plan", json={}).get_json()
    return found


def apply(api: FlaskClient, token: str) -> TestResponse:
    return api.post("/api/projects/lab/retention/apply", json={"token": token})


def versions(api: FlaskClient, iid: str) -> list[int]:
    return [found["version"] for found in api.get(f"/api/artifacts/{iid}").get_json()["artifacts"]]


def files(settings: Settings) -> int:
    return sum(path.is_file() for path in Path(settings.effective_artifact_url).rglob("*"))


def test_a_plan_deletes_nothing_and_its_application_exactly_what_it_named(
    api: FlaskClient, settings: Settings
) -> None:
    iid, other = run_with_weights(api), run_with_weights(api, project="other")
    end(api, iid)
    end(api, other)
    assert api.post(f"/api/artifacts/{iid}/plot", data=b"x", content_type=BYTES).status_code == 201
    assert plan(api)["deletes"] == []
    assert put(api, keep_best=1).get_json() == api.get("/api/projects/lab/retention").get_json()
    found = plan(api)
    assert [(one["run_id"], one["name"], one["version"]) for one in found["deletes"]] == [
        (iid, "w", 3), (iid, "w", 1),
    ]  # fmt: skip
    assert (found["size_bytes"], found["kept"]) == (2 * len(safetensors()), 1)
    assert files(settings) == 7
    done = apply(api, found["token"]).get_json()
    assert done == {"deleted": 2, "size_bytes": found["size_bytes"], "left": []}
    assert (versions(api, iid), versions(api, other), files(settings)) == ([1, 2], [3, 2, 1], 5)
    assert apply(api, found["token"]).status_code == 409
    assert plan(api)["deletes"] == []


def test_a_plan_that_has_changed_is_refused_as_a_whole(api: FlaskClient) -> None:
    iid = run_with_weights(api)
    end(api, iid)
    put(api, keep_best=1)
    token = plan(api)["token"]
    api.post("/api/models", json={"name": "net", "run_id": iid, "artifact": "w", "version": 1})
    assert apply(api, token).status_code == 409
    assert apply(api, "0" * 64).status_code == 409
    assert versions(api, iid) == [3, 2, 1]
    assert [one["version"] for one in plan(api)["deletes"]] == [3]


def test_what_a_model_needs_and_a_run_that_has_not_ended_are_left_alone(api: FlaskClient) -> None:
    living, ended = run_with_weights(api), run_with_weights(api)
    end(api, ended)
    api.post("/api/models", json={"name": "net", "run_id": ended, "artifact": "w", "version": 2})
    api.post("/api/models/net/1/stage", json={"stage": "production"})
    put(api, keep_best=0)
    found = plan(api)
    assert {(one["run_id"], one["version"]) for one in found["deletes"]} == {(ended, 3), (ended, 1)}
    apply(api, found["token"])
    assert (versions(api, living), versions(api, ended)) == ([3, 2, 1], [2])


def test_saved_models_of_runs_of_the_queue_are_judged_too(
    api: FlaskClient, db: RedisDB, settings: Settings
) -> None:
    options = {"project": "lab"}
    iid = str(
        api.post("/train", json={"hyper_params": {"num_epochs": 1}, "options": options}).get_json()["iid"]
    )
    db.queue.finish(claim(db), Status.DONE)
    save_models(Path(settings.effective_model_url), iid)
    put(api, keep_last=0)
    api.post("/api/models", json={"name": "net", "run_id": iid, "artifact": "best"})
    found = plan(api)
    assert [(one["name"], one["version"]) for one in found["deletes"]] == [("last", None)]
    assert apply(api, found["token"]).get_json()["deleted"] == 1
    assert [model["name"] for model in api.get(f"/api/models/{iid}").get_json()["models"]] == ["best"]


def test_an_active_policy_is_applied_once_a_day_by_one_program(
    api: FlaskClient, db: RedisDB, settings: Settings
) -> None:
    first = run_with_weights(api)
    end(api, first)
    put(api, keep_last=1, is_active=True)
    now_s = [0.0]
    keepers = [ArtifactKeeper(db, settings, clock=lambda: now_s[0]) for _ in range(2)]
    for keeper in keepers:
        keeper.begin()
    wait_until(lambda: versions(api, first) == [3])
    second = run_with_weights(api)
    end(api, second)
    wait_until(lambda: not any(keeper.is_busy for keeper in keepers))
    keepers[0].sweep_and_retain()
    assert versions(api, second) == [3, 2, 1]


@pytest.mark.parametrize("project", ["a%2fb", "x" * 65, "%20", "a%0ab"])
def test_a_project_that_cannot_be_is_not_found(api: FlaskClient, project: str) -> None:
    path = f"/api/projects/{project}/retention"
    for reply in (api.get(path), api.put(path, json={}), api.post(f"{path}/plan", json={})):
        assert reply.status_code in (404, 405)


def test_what_is_no_policy_or_token_is_refused(api: FlaskClient) -> None:
    wrongs: list[object] = [{"keep_best": -1}, {"is_active": True}, {"metric": None}, [], "x", {"other": 1}]
    for wrong in wrongs:
        assert api.put("/api/projects/lab/retention", json=wrong).status_code == 422, wrong
    assert api.put("/api/projects/lab/retention", data="{}", content_type="text/plain").status_code == 415
    for body in ({}, {"token": 1}, {"token": "x" * 65}):
        assert api.post("/api/projects/lab/retention/apply", json=body).status_code == 422
    assert api.get("/api/projects/lab/retention").get_json()["keep_best"] is None
