"""One request for many runs: each is done or refused by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend import create_app
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import Run, RunError, Status
from settings import Settings
from tests.records import claim
from tests.saved import save_models

ABSENT = "0" * 32


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def submit(db: RedisDB) -> str:
    return db.queue.submit({"trainer": "cnn", "num_epochs": 2}).run_id


def failed(db: RedisDB) -> str:
    run_id = submit(db)
    lease = claim(db)
    assert lease.run_id == run_id
    db.queue.finish(lease, Status.FAILED, error=RunError(kind="E", message="m"))
    return run_id


def done(db: RedisDB) -> str:
    run_id = submit(db)
    db.queue.finish(claim(db), Status.DONE)
    return run_id


def bulk(api: FlaskClient, **body: object) -> dict[str, Any]:
    reply = api.post("/api/runs/bulk", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.get_json()
    assert answer["succeeded"] + answer["refused"] + answer["not_tried"] == len(answer["outcomes"])
    return answer


def test_every_run_has_its_own_outcome_in_the_order_of_the_request(api: FlaskClient, db: RedisDB) -> None:
    ended, waits, again = done(db), submit(db), submit(db)
    named = [waits, ended, ABSENT, "not an id", again, waits]

    answer = bulk(api, action="cancel", run_ids=named)

    outcomes = answer["outcomes"]
    assert [outcome["iid"] for outcome in outcomes] == named[:-1]
    assert [outcome["success"] for outcome in outcomes] == [True, False, False, False, True]
    assert [outcome["code"] for outcome in outcomes] == [None, "conflict", "not_found", "not_found", None]
    assert [outcome["status"] for outcome in outcomes] == ["cancelled", None, None, None, "cancelled"]
    assert ended in outcomes[1]["message"]
    assert (answer["succeeded"], answer["refused"], answer["left"]) == (2, 3, None)
    assert db.runs.get(waits).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("action", "status", "request_"),
    [("cancel", "running", "cancel"), ("pause", "running", "pause"), ("preempt", "running", "preempt")],
)
def test_running_runs_are_asked(
    api: FlaskClient, db: RedisDB, action: str, status: str, request_: str
) -> None:
    run_id = submit(db)
    claim(db)
    answer = bulk(api, action=action, run_ids=[run_id])
    assert answer["outcomes"][0]["status"] == status
    assert db.runs.get(run_id).request == request_


def test_runs_are_paused_resumed_and_given_priority(api: FlaskClient, db: RedisDB) -> None:
    run_ids = [submit(db), submit(db)]
    assert bulk(api, action="pause", run_ids=run_ids)["succeeded"] == 2
    assert bulk(api, action="priority", run_ids=run_ids, priority="high")["succeeded"] == 2
    answer = bulk(api, action="resume", status="paused")
    assert (answer["succeeded"], answer["left"]) == (2, 0)
    runs = [db.runs.get(run_id) for run_id in run_ids]
    assert [(run.status, run.options.priority) for run in runs] == [(Status.WAITING, "high")] * 2


def test_all_failed_runs_are_retried_and_only_they(api: FlaskClient, db: RedisDB) -> None:
    lost, other = [failed(db) for _ in range(3)], done(db)
    answer = bulk(api, action="retry", status="failed")
    assert [outcome["iid"] for outcome in answer["outcomes"]] == lost
    assert (answer["succeeded"], answer["left"]) == (3, 0)
    assert db.queue.length() == 3
    assert db.runs.get(other).status is Status.DONE
    assert bulk(api, action="retry", status="failed")["outcomes"] == []


def test_more_than_500_runs_of_a_status_are_done_in_several_requests(api: FlaskClient, db: RedisDB) -> None:
    for _ in range(502):
        submit(db)
    first = bulk(api, action="cancel", status="waiting")
    assert (first["succeeded"] + first["not_tried"], first["left"]) == (500, 502 - first["succeeded"])
    while bulk(api, action="cancel", status="waiting")["left"]:
        pass
    assert db.runs.count_by_status()[Status.CANCELLED] == 502


def test_runs_are_deleted_with_their_files_and_those_that_run_are_not(
    api: FlaskClient, db: RedisDB, tmp_path: Path
) -> None:
    ended, runs = done(db), submit(db)
    claim(db)
    save_models(tmp_path / "models", ended)
    answer = bulk(api, action="delete", run_ids=[ended, runs])
    assert [outcome["code"] for outcome in answer["outcomes"]] == [None, "conflict"]
    assert db.runs.find(ended) is None
    assert not (tmp_path / "models" / ended).exists()
    assert db.runs.get(runs).status is Status.RUNNING


def test_a_bulk_rerun_repeated_with_its_key_queues_each_run_once(api: FlaskClient, db: RedisDB) -> None:
    old = [submit(db), submit(db)]
    body = {"action": "rerun", "run_ids": old}
    key = {"Idempotency-Key": "k" * 200}
    first, second = (api.post("/api/runs/bulk", json=body, headers=key).get_json() for _ in range(2))
    new = [outcome["new_iid"] for outcome in first["outcomes"]]
    assert [outcome["new_iid"] for outcome in second["outcomes"]] == new
    assert [db.runs.get(run_id).rerun_of for run_id in new] == old
    assert db.queue.length() == 4


def test_what_was_done_before_redis_went_away_is_told(
    api: FlaskClient, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = [submit(db) for _ in range(3)]
    cancel, calls = db.controls.cancel, list[str]()

    def fail_later(run_id: str) -> Run:
        calls.append(run_id)
        if len(calls) > 1:
            raise StoreUnavailable("Redis cannot be reached.")
        return cancel(run_id)

    monkeypatch.setattr(db.controls, "cancel", fail_later)
    answer = bulk(api, action="cancel", run_ids=run_ids)
    assert (answer["succeeded"], answer["not_tried"]) == (1, 2)
    assert calls == run_ids[:2]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "explode", "run_ids": ["a"]}, "action"),
        ({"action": "cancel"}, "body"),
        ({"action": "cancel", "run_ids": []}, "run_ids"),
        ({"action": "cancel", "run_ids": ["a"] * 501}, "run_ids"),
        ({"action": "cancel", "run_ids": [1]}, "run_ids.0"),
        ({"action": "cancel", "run_ids": ["x" * 65]}, "run_ids.0"),
        ({"action": "cancel", "status": "asleep"}, "status"),
        ({"action": "delete", "status": "failed"}, "body"),
        ({"action": "cancel", "run_ids": ["a"], "priority": "urgent"}, "priority"),
        ({"action": "cancel", "run_ids": ["a"], "all": True}, "all"),
    ],
)
def test_a_request_that_is_wrong_as_a_whole_names_the_field(
    api: FlaskClient, body: dict[str, object], field: str
) -> None:
    reply = api.post("/api/runs/bulk", json=body)
    assert reply.status_code == 422
    assert reply.get_json()["error"]["details"][0]["field"] == field
