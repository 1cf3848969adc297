"""The deletion of a run: asked twice, whole, and finished by a repetition when it was cut off."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import fsspec
import pytest
from flask.testing import FlaskClient
from fsspec.implementations.memory import MemoryFileSystem

from backend import create_app
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import Lease, Status
from settings import Settings
from tests.programs import wait_until
from tests.records import claim, epoch
from tests.saved import save_models
from trainers.places import open_folder

JSON = "application/json"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def api(db: RedisDB, settings: Settings) -> FlaskClient:
    return create_app(settings, db).test_client()


def finished(db: RedisDB, settings: Settings, status: Status = Status.DONE) -> str:
    """A run with an epoch, a log, models of 16 bytes and their cards, and a checkpoint of 7 bytes."""
    run_id = db.queue.submit({"num_epochs": 2}).run_id
    lease = claim(db)
    leave_traces(db, settings, lease)
    if status is Status.DONE:
        db.queue.finish(lease, Status.DONE)
    else:
        db.queue.finish(lease, Status.CANCELLED)
    return run_id


def leave_traces(db: RedisDB, settings: Settings, lease: Lease) -> None:
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.25, energy_quality="measured", co2_g=100.0))
    db.log.append(lease, ["one", "two"])
    save_models(Path(settings.effective_model_url), lease.run_id)
    checkpoints = open_folder(settings.effective_checkpoint_url, lease.run_id)
    checkpoints.write("step-000000000010", {"state.json": b"1234567"})


def files_of(settings: Settings, run_id: str) -> list[str]:
    places = (settings.effective_model_url, settings.effective_checkpoint_url)
    return [name for place in places for name in open_folder(place, run_id).list_names()]


def delete(api: FlaskClient, run_id: str, confirm: str | None = None) -> tuple[int, dict[str, object]]:
    query = {"confirm": run_id if confirm is None else confirm}
    reply = api.delete(f"/api/runs/{run_id}", query_string=query, content_type=JSON)
    return reply.status_code, reply.get_json()


@pytest.mark.parametrize("status", [Status.DONE, Status.CANCELLED])
def test_what_goes_is_told_before_and_is_gone_after(
    api: FlaskClient, db: RedisDB, settings: Settings, status: Status
) -> None:
    run_id, other = finished(db, settings, status), finished(db, settings)
    totals = api.get("/api/totals").get_json()

    preview = api.get(f"/api/runs/{run_id}/deletion")
    assert preview.status_code == 200
    told = preview.get_json()
    assert (told["status"], told["epochs"], told["attempts"], told["log_lines"]) == (status, 1, 1, 2)
    assert (told["energy_kwh"], told["co2_g"], told["checkpoint_bytes"]) == (0.25, 100.0, 7)
    models = Path(settings.effective_model_url) / run_id
    assert told["model_bytes"] == sum(path.stat().st_size for path in models.rglob("*.*")) > 12
    assert files_of(settings, run_id)

    assert delete(api, run_id) == (200, told)
    assert api.get(f"/api/runs/{run_id}").status_code == 404
    assert [run["iid"] for run in api.get("/api/runs").get_json()["results"]] == [other]
    assert files_of(settings, run_id) == []
    assert not models.exists()
    assert len(files_of(settings, other)) == 3
    assert api.get("/api/totals").get_json() == totals
    assert delete(api, run_id)[0] == 404
    assert api.get(f"/api/runs/{run_id}/deletion").status_code == 404


@pytest.mark.parametrize("query", ["", "?confirm=", "?confirm=yes", f"?confirm={'0' * 32}"])
def test_without_the_id_once_more_nothing_is_deleted_and_the_remedy_is_told(
    api: FlaskClient, db: RedisDB, settings: Settings, query: str
) -> None:
    run_id = finished(db, settings)
    reply = api.delete(f"/api/runs/{run_id}{query}", content_type=JSON)
    assert reply.status_code == 409
    error = reply.get_json()["error"]
    assert (error["code"], error["details"][0]["field"]) == ("conflict", "confirm")
    assert f"?confirm={run_id}" in error["message"]
    assert db.runs.get(run_id).status is Status.DONE
    assert len(files_of(settings, run_id)) == 3


def test_a_deletion_is_a_write_that_no_form_and_no_other_site_can_send(
    api: FlaskClient, db: RedisDB, settings: Settings
) -> None:
    run_id = finished(db, settings)
    path = f"/api/runs/{run_id}?confirm={run_id}"
    assert api.delete(path).status_code == 415
    assert api.delete(path, content_type="text/plain").status_code == 415
    evil = {"Origin": "https://evil.example"}
    assert api.delete(path, content_type=JSON, headers=evil).status_code == 403
    assert db.runs.get(run_id).status is Status.DONE


@pytest.mark.parametrize("state", ["waiting", "running", "paused"])
def test_a_run_that_has_not_ended_is_neither_deleted_nor_its_checkpoint(
    api: FlaskClient, db: RedisDB, settings: Settings, state: str
) -> None:
    run_id = db.queue.submit({"num_epochs": 2}).run_id
    lease = claim(db)
    leave_traces(db, settings, lease)
    if state != "running":
        db.queue.release(lease, reason="stopped")
    if state == "paused":
        db.controls.pause(run_id)

    for status, answer in (delete(api, run_id), delete(api, run_id, confirm="no")):
        assert status == 409
        assert "cancel it first" in str(answer)
    assert api.get(f"/api/runs/{run_id}/deletion").status_code == 409
    assert db.runs.get(run_id).status == state
    assert len(files_of(settings, run_id)) == 3


def test_a_deletion_that_was_cut_off_before_the_files_is_finished_by_repeating_it(
    api: FlaskClient, db: RedisDB, settings: Settings
) -> None:
    run_id = finished(db, settings)
    db.controls.delete(run_id)

    told = api.get(f"/api/runs/{run_id}/deletion").get_json()
    assert (told["status"], told["epochs"], told["checkpoint_bytes"]) == (None, 0, 7)
    assert delete(api, run_id) == (200, told)
    assert files_of(settings, run_id) == []
    assert delete(api, run_id)[0] == 404


def test_a_place_that_cannot_be_read_does_not_hide_what_the_other_has(db: RedisDB, tmp_path: Path) -> None:
    no_driver = Settings(data_dir=tmp_path, model_url="nosuchscheme://bucket")
    api = create_app(no_driver, db).test_client()
    run_id = "a" * 32
    checkpoints = open_folder(no_driver.effective_checkpoint_url, run_id)
    checkpoints.write("step-000000000010", {"state.json": b"1234567"})

    preview = api.get(f"/api/runs/{run_id}/deletion")
    assert preview.status_code == 200
    assert (preview.get_json()["model_bytes"], preview.get_json()["checkpoint_bytes"]) == (None, 7)
    status, answer = delete(api, run_id)
    assert (status, answer["checkpoint_bytes"]) == (200, 7)
    assert "nosuchscheme" in str(answer["files_left"])
    assert checkpoints.list_names() == []


def test_what_a_killed_process_left_is_seen_and_deleted(api: FlaskClient, settings: Settings) -> None:
    run_id = "a" * 32
    leftover = Path(settings.effective_checkpoint_url) / run_id / ".step-000000000020.77"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"torn")

    assert api.get(f"/api/runs/{run_id}/deletion").get_json()["checkpoint_bytes"] == 4
    assert delete(api, run_id)[0] == 200
    assert not leftover.parent.exists()
    assert delete(api, run_id)[0] == 404


def test_without_redis_no_file_is_deleted(
    api: FlaskClient, db: RedisDB, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = finished(db, settings)

    def fail(_: str) -> None:
        raise StoreUnavailable("Redis cannot be reached.")

    monkeypatch.setattr(db.controls, "delete", fail)
    assert delete(api, run_id)[0] == 503
    assert len(files_of(settings, run_id)) == 3


def test_files_that_cannot_be_deleted_are_told_and_logged(
    db: RedisDB, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    no_driver = Settings(data_dir=tmp_path, model_url="nosuchscheme://bucket")
    run_id = db.queue.submit({"num_epochs": 2}).run_id
    db.queue.finish(claim(db), Status.DONE)
    with caplog.at_level(logging.WARNING):
        status, answer = delete(create_app(no_driver, db).test_client(), run_id)
    assert (status, answer["model_bytes"], answer["checkpoint_bytes"]) == (200, None, 0)
    assert "nosuchscheme" in str(answer["files_left"])
    assert run_id in caplog.text


class StuckFiles(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A place that answers only when it may."""

    protocol = "stuck"
    store: dict[str, Any] = {}  # noqa: RUF012 - the form fsspec gives it
    pseudo_dirs = [""]  # noqa: RUF012
    may_answer = Event()

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        """List a folder, late; no test waits that long."""
        self.may_answer.wait(30)
        return super().ls(path, detail=detail, **options)


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[Settings]:
    """The settings of an API whose checkpoints are in a place that hangs."""
    fsspec.register_implementation("stuck", StuckFiles, clobber=True)
    StuckFiles.may_answer.clear()
    yield Settings(data_dir=tmp_path, checkpoint_url=f"stuck://{tmp_path.name}")
    StuckFiles.may_answer.set()


@pytest.mark.parametrize("is_bulk", [False, True])
def test_a_place_that_hangs_holds_nobody_and_the_deletion_goes_on(
    db: RedisDB, stuck: Settings, is_bulk: bool
) -> None:
    run_id = finished(db, stuck)
    api = create_app(stuck, db).test_client()

    preview = api.get(f"/api/runs/{run_id}/deletion").get_json()
    assert "has not answered" in preview["files_left"]
    if is_bulk:
        bulk = api.post("/api/runs/bulk", json={"action": "delete", "run_ids": [run_id]}).get_json()
        (outcome,) = bulk["outcomes"]
        assert outcome["success"]
        left = outcome["message"]
    else:
        status, answer = delete(api, run_id)
        assert status == 200
        left = answer["files_left"]
    assert "still being deleted" in left
    assert not StuckFiles.may_answer.is_set()

    StuckFiles.may_answer.set()
    wait_until(lambda: files_of(stuck, run_id) == [])


@pytest.mark.parametrize("iid", ["0" * 32, "abc%0a", "x:epochs", "..%5c", "x" * 5000])
def test_an_unknown_or_odd_id_is_not_found(api: FlaskClient, iid: str) -> None:
    assert api.get(f"/api/runs/{iid}/deletion").status_code == 404
    reply = api.delete(f"/api/runs/{iid}?confirm={iid[:64]}", content_type=JSON)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (404, "not_found")


def test_an_unknown_parameter_and_one_that_is_too_long_are_refused(
    api: FlaskClient, db: RedisDB, settings: Settings
) -> None:
    run_id = finished(db, settings)
    for query in (f"confirm={run_id}&force=1", f"confirm={'x' * 65}"):
        assert api.delete(f"/api/runs/{run_id}?{query}", content_type=JSON).status_code == 422
    assert db.runs.get(run_id).status is Status.DONE


def test_no_id_leads_out_of_the_folder_of_runs(api: FlaskClient, settings: Settings) -> None:
    outside = settings.data_dir / "best"
    outside.mkdir()
    (outside / "card.json").write_text("not a run's")
    (Path(settings.effective_model_url) / "inside").mkdir(parents=True)
    assert api.get("/api/runs/%2e%2e/deletion").status_code == 404
    assert api.delete("/api/runs/%2e%2e?confirm=..", content_type=JSON).status_code == 404
    bulk = api.post("/api/runs/bulk", json={"action": "delete", "run_ids": [".."]}).get_json()
    assert bulk["outcomes"][0]["code"] == "not_found"
    assert outside.exists()


def test_the_key_of_a_part_of_a_run_is_no_run(api: FlaskClient, db: RedisDB, settings: Settings) -> None:
    part = f"{finished(db, settings)}:log"
    assert delete(api, part)[0] == 404
    assert api.post(f"/api/runs/{part}/cancel", json={}).status_code == 404
    bulk = api.post("/api/runs/bulk", json={"action": "cancel", "run_ids": [part]}).get_json()
    assert bulk["outcomes"][0]["code"] == "not_found"
