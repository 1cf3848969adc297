"""A run that several sessions of a script report, one after the other: it ends as the newest one does."""

from __future__ import annotations

from flask.testing import FlaskClient

from redis_db import RedisDB
from schema import Status
from tests.integration.test_external_routes import api, app, settings
from tests.integration.test_external_routes import begin as begin_over_http
from tests.integration.test_external_store import begin

__all__ = ["api", "app", "settings"]


def test_what_a_session_says_late_does_not_end_the_one_that_followed(db: RedisDB) -> None:
    run_id = begin(db, session="first")
    assert db.external.reopen(run_id, session="second").status is Status.RUNNING
    assert db.external.end(run_id, Status.FAILED, session="first").status is Status.RUNNING
    assert db.external.end(run_id, Status.DONE, session="second").status is Status.DONE
    before = db.runs.get(run_id)
    assert db.external.end(run_id, Status.FAILED, session="first") == before
    assert db.external.reopen(run_id, session="first") == before, "it opens what it had opened before"
    assert db.external.reopen(run_id, session="third").status is Status.RUNNING
    assert db.external.end(run_id, Status.DONE, session="second").status is Status.RUNNING
    assert db.external.end(run_id, Status.CANCELLED, session="third").status is Status.CANCELLED


def test_a_session_that_opens_again_goes_on(db: RedisDB) -> None:
    run_id = begin(db, session="first")
    assert db.external.reopen(run_id, session="first").status is Status.RUNNING
    db.external.end(run_id, Status.FAILED, session="first")
    assert db.external.reopen(run_id, session="first").status is Status.RUNNING
    assert db.external.end(run_id, Status.DONE, session="first").status is Status.DONE


def test_scripts_that_do_not_say_their_session_end_their_run(db: RedisDB) -> None:
    run_id = begin(db)
    assert db.external.end(run_id, Status.DONE, session="first").status is Status.DONE
    other = begin(db, session="first")
    db.external.reopen(other)
    assert db.external.end(other, Status.FAILED, session="first").status is Status.RUNNING
    assert db.external.end(other, Status.DONE).status is Status.DONE


def test_sessions_are_told_apart_over_http(api: FlaskClient) -> None:
    iid = begin_over_http(api, session="first")
    path = f"/api/experiments/{iid}/status"
    resumed = api.post("/api/experiments", json={"name": "a", "resume": iid, "session": "second"})
    assert resumed.status_code == 200
    late = api.post(path, json={"status": "failed", "session": "first"})
    assert (late.status_code, late.get_json()["status"]) == (200, "running")
    assert api.post(path, json={"status": "done", "session": "S"}).status_code == 422
    assert api.post(path, json={"status": "done", "session": "second"}).get_json()["status"] == "done"


def test_a_key_answers_with_its_run_whichever_session_it_is(api: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    replies = [
        api.post("/api/experiments", json={"name": "a", **session}, headers=headers)
        for session in ({}, {"session": "first"})
    ]
    assert [reply.status_code for reply in replies] == [201, 200]
