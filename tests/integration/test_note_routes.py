"""Notes are deleted over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from backend import create_app
from redis_db import RedisDB
from settings import Settings
from tests.acted_run import HYPER_PARAMS

JSON = "application/json"


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def test_one_note_of_a_run_is_deleted_and_the_others_stay(api: FlaskClient, db: RedisDB) -> None:
    run_id = db.queue.submit(HYPER_PARAMS).run_id
    path = f"/api/experiments/{run_id}/notes"
    first, second = (api.post(path, json={"text": text}).get_json()["note_id"] for text in ("a", "b"))
    assert api.delete(f"{path}/{first}", content_type=JSON).status_code == 204
    assert [note["note_id"] for note in api.get(path).get_json()] == [second]
    again = api.delete(f"{path}/{first}", content_type=JSON)
    assert (again.status_code, again.get_json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("note_id", ["x", "1", "1-", "*", "99999999999999999999-0", "9" * 19 + "-0", "٣-٣"])
def test_what_is_no_note_is_not_found(api: FlaskClient, db: RedisDB, note_id: str) -> None:
    run_id = db.queue.submit(HYPER_PARAMS).run_id
    path = f"/api/experiments/{run_id}/notes"
    api.post(path, json={"text": "stays"})
    assert api.delete(f"{path}/{note_id}", content_type=JSON).status_code == 404
    assert api.delete(f"/api/experiments/{'0' * 32}/notes/1-1", content_type=JSON).status_code == 404
    assert len(api.get(path).get_json()) == 1


def test_a_web_page_elsewhere_cannot_delete_a_note(api: FlaskClient, db: RedisDB) -> None:
    run_id = db.queue.submit(HYPER_PARAMS).run_id
    path = f"/api/experiments/{run_id}/notes"
    note_id = api.post(path, json={"text": "stays"}).get_json()["note_id"]
    assert api.delete(f"{path}/{note_id}").status_code == 415
    foreign = {"Origin": "http://evil.example"}
    assert api.delete(f"{path}/{note_id}", content_type=JSON, headers=foreign).status_code == 403
    assert len(api.get(path).get_json()) == 1
