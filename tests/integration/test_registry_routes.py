"""Models in versions: registered once, one of a name in production, and what came of what."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from redis_db import NewFile, RedisDB
from schema import ArtifactQuery, Stage, Status
from schema.external import MAX_INPUTS
from settings import Settings
from tests.records import claim
from tests.saved import save_models
from tests.weights import safetensors

BYTES = "application/octet-stream"
JSON = "application/json"


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def begin(api: FlaskClient, **body: Any) -> str:
    reply = api.post("/api/experiments", json={"name": "mine", **body})
    assert reply.status_code == 201, reply.get_json()
    return str(reply.get_json()["iid"])


def weights(api: FlaskClient, iid: str, name: str = "w", step: int = 1, kind: str = "checkpoint") -> None:
    query = f"kind={kind}&step={step}&metrics=" + '{"accuracy":0.5}'
    path = f"/api/artifacts/{iid}/{name}?{query}"
    assert api.post(path, data=safetensors(), content_type=BYTES).status_code == 201


def register(api: FlaskClient, iid: str, name: str = "net", artifact: str = "w", **more: Any) -> TestResponse:
    return api.post("/api/models", json={"name": name, "run_id": iid, "artifact": artifact, **more})


def stage(api: FlaskClient, model: str, to: str, **more: Any) -> TestResponse:
    return api.post(f"/api/models/{model.replace(':', '/')}/stage", json={"stage": to, **more})


@pytest.fixture
def done(api: FlaskClient, db: RedisDB, tmp_path: Path) -> str:
    """A finished run of the queue with its saved models."""
    iid = str(api.post("/train", json={"num_epochs": 1}).get_json()["iid"])
    db.queue.finish(claim(db), Status.DONE)
    save_models(tmp_path / "models", iid)
    return iid


def test_weights_of_a_script_s_run_become_a_candidate_that_can_be_downloaded(api: FlaskClient) -> None:
    iid = begin(api, project="lab")
    weights(api, iid)
    weights(api, iid, step=2)
    reply = register(api, iid)
    assert reply.status_code == 201
    made = reply.get_json()
    assert (made["name"], made["version"], made["run_id"], made["project"]) == ("net", 1, iid, "lab")
    assert (made["artifact"]["name"], made["artifact"]["version"]) == ("w", 2)
    assert (made["metrics"], made["stage"], made["used_by"]) == ({"accuracy": 0.5}, "candidate", [])
    assert [change["stage"] for change in made["history"]] == ["candidate"]
    with api.get("/api/models/net/1/file") as file:
        assert (file.data, file.headers["Content-Security-Policy"]) == (
            safetensors(),
            "sandbox; default-src 'none'",
        )
    again = register(api, iid)
    assert (again.status_code, again.get_json()) == (200, made)
    assert register(api, iid, version=1).get_json()["version"] == 2
    assert register(api, iid, name="other").get_json()["version"] == 1
    assert api.delete("/api/models/net/2", content_type=JSON).status_code == 204
    assert [api.get(f"/api/models?name={name}").get_json()["next_version"] for name in ("net", "new")] == [
        3,
        1,
    ]
    assert api.get("/api/models").get_json()["next_version"] is None


def test_the_saved_models_of_a_run_of_the_queue_can_be_registered(api: FlaskClient, done: str) -> None:
    made = register(api, done, artifact="best").get_json()
    assert made["artifact"] == {"name": "best", "version": None, "size_bytes": 4, "sha256": "0" * 64}
    assert made["metrics"]["validation_accuracy"] == 0.75
    with api.get("/api/models/net/1/file") as file:
        assert file.data == b"1234"
    listed = api.get(f"/api/models/{done}").get_json()
    assert [(model["name"], model["version"]) for model in listed["models"]] == [
        ("best", None),
        ("last", None),
    ]
    with api.get(listed["models"][0]["url"]) as file:
        assert file.data == b"1234"
    assert [version["name"] for version in listed["versions"]] == ["net"]
    weights(api, done, "best", kind="model")
    assert register(api, done, name="sent", artifact="best").get_json()["artifact"]["version"] == 1


def test_the_weights_of_a_run_are_listed_by_kind(api: FlaskClient) -> None:
    iid = begin(api)
    weights(api, iid, "epoch1")
    weights(api, iid, "final", kind="model")
    assert api.post(f"/api/artifacts/{iid}/plot", data=b"x", content_type=BYTES).status_code == 201
    listed = api.get(f"/api/models/{iid}").get_json()
    assert [found["name"] for found in listed["checkpoints"]] == ["epoch1"]
    assert [found["name"] for found in listed["models"]] == ["final"]
    assert listed["versions"] == []


def test_a_history_keeps_its_beginning_and_the_newest_changes(api: FlaskClient, db: RedisDB) -> None:
    iid = begin(api)
    weights(api, iid)
    made = register(api, iid).get_json()
    for number in range(210):
        to: Stage = "candidate" if number % 2 else "production"
        db.models.set_stage("net", 1, to, f'{number} \u00e4/"')
    history = db.models.get("net", 1).history
    assert history[0].model_dump(mode="json") == made["history"][0]
    assert [change.note for change in history[1:]] == [f'{number} \u00e4/"' for number in range(10, 210)]
    assert all(old.time < new.time for old, new in itertools.pairwise(history))


def test_models_are_listed_behind_any_number_of_checkpoints(api: FlaskClient, db: RedisDB) -> None:
    iid = begin(api)
    weights(api, iid, "final", kind="model")
    for number in range(1_000):
        new = NewFile(f"{iid}/checkpoints/c/{number}", 1, f"{number:064x}", BYTES)
        db.artifacts.begin(iid, new.file, 1, most_bytes=1 << 20)
        db.artifacts.record(iid, "c", ArtifactQuery(kind="checkpoint"), new, most_bytes=1 << 20)
    listed = api.get(f"/api/models/{iid}").get_json()
    assert [found["name"] for found in listed["models"]] == ["final"]
    assert (len(listed["checkpoints"]), listed["checkpoints"][0]["version"]) == (500, 1_000)


def test_a_resume_that_is_refused_changes_nothing(api: FlaskClient, done: str, raw: redis.Redis) -> None:
    iid = begin(api, params={"lr": 1})
    weights(api, iid)
    register(api, iid)
    before = (raw.hgetall(f"run:{iid}"), raw.hgetall(f"run:{done}"))
    body = {"name": "mine", "params": {"lr": 2}, "tags": ["new"]}
    missing = api.post("/api/experiments", json={**body, "resume": iid, "from_models": ["net:9"]})
    assert (missing.status_code, "net:9" in missing.get_json()["error"]["message"]) == (404, True)
    assert (
        api.post("/api/experiments", json={**body, "resume": done, "from_models": ["net:1"]}).status_code
        == 409
    )
    assert (raw.hgetall(f"run:{iid}"), raw.hgetall(f"run:{done}")) == before
    assert not raw.exists(f"run:{done}:inputs")
    begun = api.post("/api/experiments", json={**body, "resume": iid, "from_models": ["net:1"]}).get_json()
    assert raw.smembers(f"run:{iid}:inputs") == {"net:1"}
    assert begun["hyper_params"] == {"lr": 2}


def test_a_resume_that_would_have_too_many_models_changes_nothing(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    iid = begin(api, params={"lr": 1})
    weights(api, iid)
    register(api, iid)
    raw.sadd(f"run:{iid}:inputs", *(f"old:{number}" for number in range(1, MAX_INPUTS + 1)))
    before = raw.hgetall(f"run:{iid}")
    body = {"name": "mine", "resume": iid, "params": {"lr": 2}, "from_models": ["net:1"]}
    assert api.post("/api/experiments", json=body).status_code == 409
    assert raw.hgetall(f"run:{iid}") == before


def test_a_beginning_that_is_sent_again_has_its_answer_also_once_its_model_is_deleted(
    api: FlaskClient, raw: redis.Redis
) -> None:
    maker = begin(api)
    weights(api, maker)
    register(api, maker)
    body = {"name": "user", "from_models": ["net:1", "net:1"]}
    headers = {"Idempotency-Key": "once"}
    first = api.post("/api/experiments", json=body, headers=headers)
    assert api.delete("/api/models/net/1", content_type=JSON).status_code == 204
    again = api.post("/api/experiments", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.get_json()["iid"] == first.get_json()["iid"]
    count = raw.zcard("runs:by:time_added")
    refused = api.post("/api/experiments", json=body, headers={"Idempotency-Key": "other"})
    assert (refused.status_code, "net:1" in refused.get_json()["error"]["message"]) == (404, True)
    assert raw.zcard("runs:by:time_added") == count


def test_one_version_of_a_name_is_in_production_and_history_tells_why(api: FlaskClient) -> None:
    iid = begin(api)
    for step in (1, 2):
        weights(api, iid, step=step)
        register(api, iid)
    first = stage(api, "net:1", "production", note="the first").get_json()
    assert [(change["stage"], change["note"]) for change in first["history"]] == [
        ("candidate", None),
        ("production", "the first"),
    ]
    assert stage(api, "net:1", "production").get_json() == first
    assert stage(api, "net:2", "production").get_json()["stage"] == "production"
    listed = api.get("/api/models?name=net").get_json()["models"]
    assert [(version["version"], version["stage"]) for version in listed] == [
        (2, "production"),
        (1, "archived"),
    ]
    assert listed[1]["history"][-1]["note"] == "net:2 became production"
    assert [v["version"] for v in api.get("/api/models?stage=archived").get_json()["models"]] == [1]
    assert api.get("/api/models?project=other").get_json() == {
        "models": [],
        "next_cursor": None,
        "next_version": None,
    }
    assert stage(api, "net:2", "candidate").get_json()["stage"] == "candidate"
    assert stage(api, "net:1", "production").get_json()["stage"] == "production"
    assert api.get("/api/models?stage=production").get_json()["models"][0]["version"] == 1


def test_what_a_version_needs_cannot_be_deleted_and_neither_can_production(
    api: FlaskClient, raw: redis.Redis
) -> None:
    iid = begin(api)
    weights(api, iid)
    register(api, iid)
    stage(api, "net:1", "production")
    api.post(f"/api/experiments/{iid}/status", json={"status": "done"})
    for path in (f"/api/artifacts/{iid}/w?version=1", f"/api/runs/{iid}?confirm={iid}", "/api/models/net/1"):
        reply = api.delete(path, content_type=JSON)
        assert (reply.status_code, "net:1" in reply.get_json()["error"]["message"]) == (409, True)
    assert api.get(f"/api/runs/{iid}/deletion").status_code == 409
    stage(api, "net:1", "archived")
    assert api.delete("/api/models/net/1", content_type=JSON).status_code == 204
    assert api.delete("/api/models/net/1", content_type=JSON).status_code == 404
    assert api.delete(f"/api/artifacts/{iid}/w?version=1", content_type=JSON).status_code == 204
    assert api.delete(f"/api/runs/{iid}?confirm={iid}", content_type=JSON).status_code == 200
    assert raw.keys(f"run:{iid}*") == []


def test_the_lineage_leads_from_run_over_model_to_run_both_ways(api: FlaskClient) -> None:
    first = begin(api, name="first")
    weights(api, first)
    register(api, first)
    second = begin(api, name="second", from_models=["net:1"])
    weights(api, second)
    register(api, second, name="tuned")
    third = begin(api, name="third")
    sibling = begin(api, name="sibling", from_models=["net:1"])
    assert api.post(f"/api/experiments/{third}/inputs", json={"models": ["tuned:1"]}).status_code == 200

    found = api.get(f"/api/experiments/{second}/lineage").get_json()

    labels = {node["id"]: (node["kind"], node["label"], node["state"]) for node in found["nodes"]}
    assert labels == {
        second: ("run", "second", "running"),
        first: ("run", "first", "running"),
        third: ("run", "third", "running"),
        "net:1": ("model", "net:1", "candidate"),
        "tuned:1": ("model", "tuned:1", "candidate"),
    }
    assert found["nodes"][0]["id"] == second
    edges = {tuple(edge) for edge in found["edges"]}
    assert edges == {(first, "net:1"), ("net:1", second), (second, "tuned:1"), ("tuned:1", third)}
    (version,) = api.get("/api/models?name=net").get_json()["models"]
    assert version["used_by"] == sorted([second, sibling])
    api.delete("/api/models/net/1", content_type=JSON)
    states = {
        node["id"]: node["state"]
        for node in api.get(f"/api/experiments/{second}/lineage").get_json()["nodes"]
    }
    assert states["net:1"] == "deleted"
    assert first not in states


def test_a_lineage_is_bounded(api: FlaskClient) -> None:
    iid = begin(api)
    weights(api, iid)
    register(api, iid)
    for _ in range(120):
        begin(api, from_models=["net:1"])
    assert len(api.get(f"/api/experiments/{iid}/lineage").get_json()["nodes"]) == 100


def test_a_deleted_run_uses_nothing(api: FlaskClient) -> None:
    iid = begin(api)
    weights(api, iid)
    register(api, iid)
    user = begin(api, from_models=["net:1"])
    api.post(f"/api/experiments/{user}/status", json={"status": "done"})
    assert api.delete(f"/api/runs/{user}?confirm={user}", content_type=JSON).status_code == 200
    assert api.get("/api/models").get_json()["models"][0]["used_by"] == []


def test_what_is_no_model_is_refused_and_changes_nothing(
    api: FlaskClient, done: str, raw: redis.Redis
) -> None:
    iid = begin(api)
    weights(api, iid)
    assert api.post(f"/api/artifacts/{iid}/plot", data=b"x", content_type=BYTES).status_code == 201
    before = sorted(raw.keys("*"))
    for body, status in (
        ({"run_id": "0" * 32}, 404),
        ({"run_id": "x"}, 404),
        ({"artifact": "none"}, 404),
        ({"artifact": "best"}, 404),
        ({"version": 9}, 404),
        ({"artifact": "plot"}, 422),
        ({"name": "a/b"}, 422),
        ({"name": ""}, 422),
        ({"name": "a:1"}, 422),
        ({"name": "x" * 101}, 422),
        ({"artifact": "../w"}, 422),
        ({"version": 0}, 422),
        ({"other": 1}, 422),
        ({"run_id": done, "artifact": "middle"}, 404),
        ({"run_id": done, "artifact": "best", "version": 1}, 404),
    ):
        request = {"name": "net", "run_id": iid, "artifact": "w", **body}
        assert api.post("/api/models", json=request).status_code == status, body
    assert sorted(raw.keys("*")) == before


def test_what_a_run_cannot_have_begun_with_is_refused(api: FlaskClient, raw: redis.Redis) -> None:
    iid = begin(api)
    before = sorted(raw.keys("*"))
    for models in (["net:1"], ["net"], ["net:0"], [":1"], ["a/b:1"], [], ["net:1"] * 101, "net:1", [1]):
        reply = api.post(f"/api/experiments/{iid}/inputs", json={"models": models})
        assert reply.status_code == (404 if models == ["net:1"] else 422), models
        if models:
            begun = api.post("/api/experiments", json={"name": "b", "from_models": models})
            assert begun.status_code in (404, 422), models
    assert sorted(raw.keys("*")) == before


def test_a_version_that_there_is_not_and_a_stage_that_is_none_are_refused(api: FlaskClient) -> None:
    iid = begin(api)
    weights(api, iid)
    for path in ("net/1", "net/0", "a%2fb/1", f"{'x' * 101}/1", "net/99999999999999999999"):
        assert api.get(f"/api/models/{path}/file").status_code == 404
        assert api.delete(f"/api/models/{path}", content_type=JSON).status_code in (404, 405)
        reply = api.post(f"/api/models/{path}/stage", json={"stage": "production"})
        assert reply.status_code in (404, 405)
    register(api, iid)
    wrongs: list[object] = [
        {},
        {"stage": "best"},
        {"stage": "production", "note": "x" * 1_001},
        {"stage": None},
        [],
    ]
    for wrong in wrongs:
        assert api.post("/api/models/net/1/stage", json=wrong).status_code == 422
    assert api.get("/api/models").get_json()["models"][0]["stage"] == "candidate"


def test_versions_are_listed_page_by_page_and_one_is_asked_for(api: FlaskClient) -> None:
    iid = begin(api)
    for step in range(1, 6):
        weights(api, iid, step=step)
        assert register(api, iid, name="odd" if step % 2 else "even").status_code == 201
    pages, cursor = [], ""
    while cursor is not None:
        reply = api.get(f"/api/models?limit=2{cursor and f'&cursor={cursor}'}").get_json()
        pages.append([(known["name"], known["version"]) for known in reply["models"]])
        cursor = reply["next_cursor"]
    assert pages == [[("odd", 3), ("even", 2)], [("odd", 2), ("even", 1)], [("odd", 1)]]
    assert api.get("/api/models?name=odd&limit=3").get_json()["next_cursor"] is None

    first = api.get("/api/models?limit=2").get_json()["next_cursor"]
    assert api.delete("/api/models/even/2", content_type=JSON).status_code == 204
    rest = api.get(f"/api/models?cursor={first}").get_json()["models"]
    assert len(rest) == 3, "where a page ended stays known when that version is gone"

    one = api.get("/api/models?name=odd&version=2").get_json()["models"]
    assert [(known["name"], known["version"]) for known in one] == [("odd", 2)]
    assert api.get("/api/models?name=odd&version=9").get_json()["models"] == []
    for query in ("version=2", "name=odd&version=0", "cursor=x", "cursor=nan:odd:1"):
        assert api.get(f"/api/models?{query}").status_code == 422, query
