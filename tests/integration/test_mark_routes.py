"""Stars, groups, edited notes and saved views over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from schema import ExperimentRequest
from schema.marks import MAX_VIEWS, SavedView
from settings import Settings
from tests.acted_run import HYPER_PARAMS, ActedRun

JSON = "application/json"
ABSENT = "0" * 32


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def bulk(api: FlaskClient, **body: object) -> dict[str, Any]:
    reply = api.post("/api/runs/bulk", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.get_json()
    return answer


def test_any_run_gets_a_star_and_loses_it(api: FlaskClient, db: RedisDB) -> None:
    queued = db.queue.submit(HYPER_PARAMS).run_id
    own = db.external.begin(ExperimentRequest(name="mine")).run.run_id
    for run_id in (queued, own):
        assert not api.get(f"/api/runs/{run_id}").get_json()["starred"]
        for starred in (True, True, False):
            answer = api.post(f"/api/runs/{run_id}/star", json={"starred": starred}).get_json()
            assert answer["starred"] is starred
            assert db.runs.get(run_id).starred is starred
    assert api.post(f"/api/runs/{ABSENT}/star", json={"starred": True}).status_code == 404
    assert api.post(f"/api/runs/{queued}/star", json={"starred": 1}).status_code == 422


def test_many_runs_are_starred_and_put_into_one_group(api: FlaskClient, db: RedisDB) -> None:
    first, second = (db.queue.submit(HYPER_PARAMS).run_id for _ in range(2))
    db.external.set_tags(first, add=["group=old", "paper"], remove=())
    answer = bulk(api, action="star", run_ids=[first, ABSENT, second])
    assert [outcome["code"] for outcome in answer["outcomes"]] == [None, "not_found", None]
    tags = {"add": ["group=new"], "remove": ["paper"]}
    assert bulk(api, action="tag", tags=tags, run_ids=[first, second])["succeeded"] == 2
    assert [db.runs.get(run_id).options.tags for run_id in (first, second)] == [("group=new",)] * 2
    assert bulk(api, action="unstar", run_ids=[first])["succeeded"] == 1
    assert [db.runs.get(run_id).starred for run_id in (first, second)] == [False, True]
    for wrong in ({"action": "tag"}, {"action": "star", "tags": tags}):
        assert api.post("/api/runs/bulk", json={**wrong, "run_ids": [first]}).status_code == 422


def test_a_note_is_edited_in_its_place_and_goes_with_its_run(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    run = ActedRun(db)
    path = f"/api/experiments/{run.run_id}/notes"
    first, second = (api.post(path, json={"text": text}).get_json() for text in ("a", "b"))
    edited = api.post(f"{path}/{first['note_id']}", json={"text": 'A "quoted" Ä\n'}).get_json()
    assert (edited["text"], edited["time"]) == ('A "quoted" Ä\n', first["time"])
    assert edited["edited_at"] is not None
    assert api.get(path).get_json() == [edited, second]
    assert api.post(f"{path}/{first['note_id']}", json={"text": ""}).status_code == 422
    for wrong in ("x", "1-1"):
        assert api.post(f"{path}/{wrong}", json={"text": "c"}).status_code == 404

    assert api.delete(f"{path}/{first['note_id']}", content_type=JSON).status_code == 204
    assert not raw.exists(f"run:{run.run_id}:notes:edits")
    api.post(f"{path}/{second['note_id']}", json={"text": "c"})
    run.finish()
    db.controls.delete(run.run_id)
    assert raw.keys(f"run:{run.run_id}:*") == []


def test_views_are_kept_replaced_and_forgotten(api: FlaskClient, db: RedisDB) -> None:
    body = {"name": "Best: 1 & 2", "q": " accuracy>0.9 ", "status": "done", "sort": "best_accuracy"}
    kept = api.post("/api/views", json=body)
    assert kept.status_code == 201
    assert (kept.get_json()["q"], kept.get_json()["order"]) == ("accuracy>0.9", "desc")
    assert api.post("/api/views", json=body).get_json()["error"]["code"] == "conflict"
    assert api.post("/api/views", json={**body, "q": "", "replace": True}).status_code == 201
    assert api.post("/api/views", json={"name": "a"}).status_code == 201
    assert [(view["name"], view["q"]) for view in api.get("/api/views").get_json()["views"]] == [
        ("a", ""),
        ("Best: 1 & 2", ""),
    ]
    assert api.delete("/api/views/Best%3A%201%20%26%202", content_type=JSON).status_code == 204
    assert api.delete("/api/views/Best%3A%201%20%26%202", content_type=JSON).status_code == 404
    assert [view.name for view in db.views.list()] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""}, {"name": " "}, {"name": "x" * 65}, {"name": "a\nb"}, {"name": "a/b"}, {"name": ".."},
        {"name": "a", "q": "accuracy>high"}, {"name": "a", "q": "x" * 501}, {"name": "a", "sort": "name"},
        {"name": "a", "status": "over"}, {"name": "a", "more": 1},
        {"name": "a", "columns": ["best", "best"]}, {"name": "a", "columns": ["loss"]},
        {"name": "a", "columns": "best"},
    ],
)  # fmt: skip
def test_a_view_that_is_wrong_is_not_kept(api: FlaskClient, db: RedisDB, body: dict[str, object]) -> None:
    assert api.post("/api/views", json=body).status_code == 422
    assert db.views.list() == []


def test_there_are_so_many_views_and_no_more(api: FlaskClient, db: RedisDB) -> None:
    for number in range(MAX_VIEWS):
        db.views.put(SavedView(name=f"v{number}", saved_at=db.now()), replace=False)
    refused = api.post("/api/views", json={"name": "one more"})
    assert (refused.status_code, f"{MAX_VIEWS} views" in refused.text) == (409, True)
    assert api.post("/api/views", json={"name": "v7", "q": "x", "replace": True}).status_code == 201


def test_a_view_of_another_version_hides_no_other(api: FlaskClient, raw: redis.Redis) -> None:
    api.post("/api/views", json={"name": "a"})
    raw.hset("views:saved", mapping={"new": '{"name": "new", "sort": "beauty"}', "torn": "{"})
    assert [view["name"] for view in api.get("/api/views").get_json()["views"]] == ["a"]
