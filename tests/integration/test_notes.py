"""Notes that are sent again because an answer was lost."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from errors import Conflict
from redis_db import RedisDB
from tests.integration.test_external_routes import api, app, begin, error_of, settings

__all__ = ["api", "app", "settings"]


def test_a_note_with_a_key_is_added_once(api: FlaskClient) -> None:
    iid, headers = begin(api), {"Idempotency-Key": "session-1-0"}
    path = f"/api/experiments/{iid}/notes"
    first, again = (api.post(path, json={"text": "mine"}, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json() == again.get_json()
    assert api.get(path).get_json() == [first.get_json()]
    other = api.post(path, json={"text": "yours"}, headers=headers)
    assert error_of(other)[0] == 409
    assert f"note {first.get_json()['note_id']}" in error_of(other)[1]
    assert api.post(path, json={"text": "mine"}).status_code == 201
    assert len(api.get(path).get_json()) == 2
    assert api.post(path, json={"text": "mine"}, headers={"Idempotency-Key": " "}).status_code == 422


def test_the_keys_of_notes_are_those_of_their_run(api: FlaskClient, db: RedisDB) -> None:
    one, other = (db.runs.get(begin(api, name)).run_id for name in ("one", "other"))
    added = [db.external.add_note(run_id, "mine", idempotency_key="k") for run_id in (one, other)]
    assert [note.is_new for note in added] == [True, True]
    run = db.queue.submit({"num_epochs": 2}, idempotency_key="k")
    assert db.external.add_note(run.run_id, "mine", idempotency_key="k").is_new


def test_a_known_note_is_answered_also_when_no_more_are_kept(
    api: FlaskClient, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.external.MAX_NOTES", 1)
    run_id = begin(api)
    first = db.external.add_note(run_id, "mine", idempotency_key="k").note
    with pytest.raises(Conflict, match="no more are kept"):
        db.external.add_note(run_id, "another", idempotency_key="other")
    assert db.external.add_note(run_id, "mine", idempotency_key="k").note == first
