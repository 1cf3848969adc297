"""What happens between a plan and its deletions: nothing goes that somebody has come to need."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from api.artifacts.keeping import ArtifactKeeper
from api.retention import routes as retention
from api.retention.retaining import Retaining
from errors import Conflict, NotFound, StoreUnavailable
from redis_db import NewModel, RedisDB
from schema import ModelArtifact, Status
from settings import Settings
from tests.integration.test_retention_routes import (
    BYTES,
    api,
    apply,
    end,
    plan,
    put,
    run_with_weights,
    settings,
    versions,
)
from tests.programs import wait_until
from tests.records import claim
from tests.saved import save_models
from tests.weights import safetensors
from trainers.artifact_files import ArtifactFiles
from trainers.saved_models import SavedModels

__all__ = ["api", "settings"]


@pytest.fixture
def done(api: FlaskClient, db: RedisDB, settings: Settings) -> str:
    """A finished run of the queue with its saved models."""
    body = {"hyper_params": {"num_epochs": 1}, "options": {"project": "lab"}}
    iid = str(api.post("/train", json=body).get_json()["iid"])
    db.queue.finish(claim(db), Status.DONE)
    save_models(Path(settings.effective_model_url), iid)
    return iid


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something after the plan of an application and before its deletions."""

    def act(what: Callable[[], object]) -> None:
        own = Retaining.apply

        def late(self: Retaining, *given: Any) -> Any:
            what()
            return own(self, *given)

        monkeypatch.setattr(Retaining, "apply", late)

    return act


def register(api: FlaskClient, iid: str, artifact: str = "best") -> int:
    return api.post("/api/models", json={"name": "net", "run_id": iid, "artifact": artifact}).status_code


def test_a_saved_model_that_becomes_a_version_after_the_plan_keeps_its_files(
    api: FlaskClient, done: str, between: Callable[[Callable[[], object]], None]
) -> None:
    put(api, keep_last=0)
    token = plan(api)["token"]
    between(lambda: register(api, done))
    reply = apply(api, token).get_json()
    assert (reply["deleted"], len(reply["left"])) == (1, 1)
    assert "net:1 needs best" in reply["left"][0]
    with api.get("/api/models/net/1/file") as file:
        assert file.status_code == 200


def test_a_saved_model_whose_deletion_has_begun_can_no_longer_become_a_version(
    api: FlaskClient, done: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    delete = SavedModels.delete

    def late(self: SavedModels, name: Any) -> None:
        codes.append(register(api, done, name))
        delete(self, name)

    monkeypatch.setattr(SavedModels, "delete", late)
    put(api, keep_last=0)
    assert apply(api, plan(api)["token"]).get_json()["deleted"] == 2
    assert codes == [404, 404]
    assert api.get("/api/models").get_json()["models"] == []
    assert not list(Path(settings.effective_model_url).rglob("*.safetensors"))


def test_a_saved_model_of_a_run_that_is_not_over_is_not_dropped(db: RedisDB, api: FlaskClient) -> None:
    iid = str(api.post("/train", json={"num_epochs": 1}).get_json()["iid"])
    with pytest.raises(Conflict, match="waiting"):
        db.models.drop_saved(iid, "best")
    with pytest.raises(NotFound):
        db.models.drop_saved("0" * 32, "best")


def test_weights_of_a_run_that_goes_on_after_the_plan_stay(
    api: FlaskClient, between: Callable[[Callable[[], object]], None]
) -> None:
    iid = run_with_weights(api)
    end(api, iid)
    put(api, keep_last=0)
    token = plan(api)["token"]
    between(lambda: api.post("/api/experiments", json={"name": "a", "resume": iid}))
    reply = apply(api, token).get_json()
    assert (reply["deleted"], len(reply["left"]), versions(api, iid)) == (0, 3, [3, 2, 1])
    assert "running" in reply["left"][0]
    assert api.delete(f"/api/artifacts/{iid}/w?version=1", content_type="application/json").status_code == 204


def test_weights_of_a_run_that_is_only_silent_stay(api: FlaskClient, db: RedisDB) -> None:
    iid = run_with_weights(api)
    put(api, keep_last=0)
    assert list(db.external.end_silent(-1)) == [iid]
    assert plan(api)["deletes"] == []
    with pytest.raises(Conflict, match="silent"):
        db.artifacts.delete(iid, "w", 1, is_run_over=True)
    end(api, iid)
    assert len(plan(api)["deletes"]) == 3


def test_a_saved_model_of_a_silent_run_is_dropped_after_30_days_and_not_before(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    iid = run_with_weights(api)
    assert list(db.external.end_silent(-1)) == [iid]
    raw.hset(f"run:{iid}", "heard_at", str(db.now().timestamp() - 29.9 * 86_400))
    with pytest.raises(Conflict, match="silent"):
        db.models.drop_saved(iid, "best")
    raw.hset(f"run:{iid}", "heard_at", str(db.now().timestamp() - 30.1 * 86_400))
    db.models.drop_saved(iid, "best")
    assert raw.hget(f"run:{iid}:artifacts:facts", "dropped:best") == "1"


def test_after_30_days_of_silence_weights_go_and_a_script_that_comes_back_goes_on(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    iid = run_with_weights(api)
    put(api, keep_last=1)
    assert list(db.external.end_silent(-1)) == [iid]
    for days, deletes in ((29.9, 0), (30.1, 2)):
        raw.hset(f"run:{iid}", "heard_at", str(db.now().timestamp() - days * 86_400))
        assert len(plan(api)["deletes"]) == deletes
    found = plan(api)
    assert found["deletes"][0]["why"] == "not among its last 1; its run was last heard of 30 days ago"
    reply = apply(api, found["token"]).get_json()
    assert (reply["deleted"], reply["left"]) == (2, [])
    left = versions(api, iid)
    assert db.external.reopen(iid).status == "running"
    sent = api.post(f"/api/artifacts/{iid}/w?kind=checkpoint&step=9", data=safetensors(), content_type=BYTES)
    assert sent.status_code == 201
    assert [version for version in versions(api, iid) if version not in left] == [4]
    assert plan(api)["deletes"] == []


def test_weights_that_somebody_else_has_deleted_since_the_plan_are_told_and_the_others_go(
    api: FlaskClient, db: RedisDB, between: Callable[[Callable[[], object]], None]
) -> None:
    iid = run_with_weights(api)
    end(api, iid)
    put(api, keep_last=0)
    token = plan(api)["token"]
    between(lambda: db.artifacts.delete(iid, "w", 2))
    reply = apply(api, token).get_json()
    assert (reply["deleted"], len(reply["left"]), versions(api, iid)) == (2, 1, [])
    assert "has no artifact 'w' version 2" in reply["left"][0]


def test_files_that_cannot_be_deleted_are_told_as_left(
    api: FlaskClient, done: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    put(api, keep_last=0)
    token = plan(api)["token"]
    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", refuse)
        reply = apply(api, token).get_json()
    assert (reply["deleted"], len(reply["left"])) == (0, 2)
    assert reply["left"][0] == f"best of run {done}: Permission denied"
    assert len(list(Path(settings.effective_model_url).rglob("*.safetensors"))) == 2
    assert apply(api, plan(api)["token"]).get_json()["deleted"] == 2
    assert not list(Path(settings.effective_model_url).rglob("*.safetensors"))


def test_a_saved_model_that_is_deleted_half_is_shown_no_more(
    api: FlaskClient, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    put(api, keep_last=0)
    token = plan(api)["token"]
    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", refuse)
        assert apply(api, token).get_json()["deleted"] == 0
    assert api.get(f"/api/models/{done}").get_json()["models"] == []


def test_no_model_is_made_of_an_artifact_that_is_gone(db: RedisDB, api: FlaskClient) -> None:
    iid = run_with_weights(api)
    facts = db.artifacts.get(iid, "w", 1).artifact.model_dump(include=set(ModelArtifact.model_fields))
    db.artifacts.delete(iid, "w", 1)
    with pytest.raises(NotFound, match="was deleted"):
        db.models.record("net", NewModel(iid, "lab", ModelArtifact.model_validate(facts), {}))
    assert not db.models.list(limit=1).versions


def test_the_files_of_a_deleted_run_are_noted_and_of_one_without_any_not(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    with_files, without = run_with_weights(api), run_with_weights(api, ())
    for iid in (with_files, without):
        end(api, iid)
        db.controls.delete(iid)
    assert raw.zrange("artifacts:unsettled", 0, -1, withscores=True) == [(with_files, -1.0)]


def test_a_file_of_no_run_is_refused_before_it_is_written(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    with pytest.raises(NotFound):
        db.artifacts.begin("0" * 32, "0/artifacts/a/1", 1, most_bytes=10)
    assert raw.zcard("artifacts:unsettled") == 0


def test_an_application_that_takes_long_answers_with_what_is_done_and_goes_on(
    api: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    iid = run_with_weights(api)
    end(api, iid)
    put(api, keep_last=0)
    token = plan(api)["token"]
    delete, gate, begun = ArtifactFiles.delete, threading.Event(), list[str]()

    def slow(self: ArtifactFiles, file: str) -> None:
        begun.append(file)
        if len(begun) > 1:
            assert gate.wait(60)
        delete(self, file)

    monkeypatch.setattr(ArtifactFiles, "delete", slow)
    monkeypatch.setattr(retention, "FILES_LIMIT_S", 0.5)
    try:
        reply = apply(api, token).get_json()
    finally:
        gate.set()
    assert (reply["deleted"], len(reply["left"])) == (1, 1)
    assert "2 more are still being deleted" in reply["left"][0]
    wait_until(lambda: not [path for path in files_of(settings) if path.is_file()])
    assert versions(api, iid) == []


def files_of(settings: Settings) -> list[Path]:
    return list(Path(settings.effective_artifact_url).rglob("*"))


def test_without_redis_an_application_is_a_503(
    api: FlaskClient, between: Callable[[Callable[[], object]], None]
) -> None:
    def die() -> None:
        raise StoreUnavailable("Redis is away.")

    iid = run_with_weights(api)
    end(api, iid)
    put(api, keep_last=0)
    token = plan(api)["token"]
    between(die)
    assert apply(api, token).status_code == 503


def test_a_place_that_fails_is_not_one_without_models(
    api: FlaskClient, done: str, settings: Settings, db: RedisDB
) -> None:
    place = Path(settings.effective_model_url)
    put(api, keep_last=0, is_active=True)
    shutil.move(place, place.with_name("moved"))
    assert plan(api)["deletes"] == []
    place.write_text("a file where a folder should be")
    for path in (
        f"/api/models/{done}",
        f"/api/runs/{done}/models",
        f"/api/runs/{done}/models/best/card.json",
    ):
        reply = api.get(path)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (503, "place_unavailable"), path
    assert register(api, done) == 503
    assert api.post("/api/projects/lab/retention/plan", json={}).status_code == 503
    assert not Retaining(db, settings).apply_active()
    place.unlink()
    assert register(api, done) == 404
    assert Retaining(db, settings).apply_active()


def test_a_round_of_retention_that_breaks_off_is_repeated_within_the_day(
    api: FlaskClient, db: RedisDB, raw: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise StoreUnavailable("Redis is away.")

    keeper = ArtifactKeeper(db, settings)
    with monkeypatch.context() as broken:
        broken.setattr(Retaining, "apply_active", die)
        with pytest.raises(StoreUnavailable):
            keeper.sweep_and_retain()
    assert 3_500_000 < int(str(raw.pttl("lock:retention"))) <= 3_600_000
    raw.delete("lock:retention")
    keeper.sweep_and_retain()
    assert 86_300_000 < int(str(raw.pttl("lock:retention"))) <= 86_400_000
