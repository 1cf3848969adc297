"""Archived runs beside all else: exporters, quotas, curves, lineage, and ids that others gave."""

from __future__ import annotations

import pytest
import redis

from archive.vault import Archive
from errors import Conflict
from redis_db import RedisDB
from schema import ExperimentRequest, RunOptions, Status
from settings import Settings
from tests.databases import database_url, mariadb, postgres
from tests.integration.test_archive import archive, move_all, plain, settings
from tests.integration.test_external_store import batch, begin
from tests.records import claim

__all__ = ["archive", "database_url", "mariadb", "plain", "postgres", "settings"]
NAMED = "resnet18-seed1"


def ended(db: RedisDB, run_id: str) -> str:
    db.queue.submit({"num_epochs": 1}, RunOptions(queue="mine"), run_id=run_id)
    lease = claim(db, queue="mine")
    assert lease.run_id == run_id
    db.queue.finish(lease, Status.DONE)
    return run_id


def test_an_id_with_other_signs_is_guarded_too_and_guards_nobody_else(
    db: RedisDB, archive: Archive, settings: Settings
) -> None:
    ended(db, NAMED)
    ended(db, "resnet18")
    move_all(db, archive, settings)
    with pytest.raises(Conflict, match=f"/api/runs/{NAMED}/restore"):
        db.controls.delete(NAMED)
    with pytest.raises(Conflict):
        db.queue.submit({"num_epochs": 1}, run_id=NAMED)
    assert db.archiving.find_place(NAMED) is not None
    live = db.queue.submit({"num_epochs": 1}, run_id="resnet18-seed2").run_id
    assert db.controls.cancel(live).status is Status.CANCELLED


def test_the_curve_of_a_run_whose_words_alone_are_here_is_left_out(
    db: RedisDB, archive: Archive, settings: Settings
) -> None:
    run_id = begin(db)
    db.metrics.record(run_id, batch(accuracy=[0.5, 0.9]), at=db.now())
    db.external.end(run_id, Status.DONE)
    assert db.metrics.list_sparklines([run_id]) == {run_id: [0.5, 0.9]}
    move_all(db, archive, settings)
    place = db.archiving.find_place(run_id)
    assert place is not None
    db.archiving.warm(archive.load(place, has_points=False), has_points=False)
    assert db.metrics.list_sparklines([run_id]) == {run_id: []}


def test_an_exporter_that_was_away_finds_runs_that_are_archived_by_now(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings
) -> None:
    db.exports.start("file")
    begun = db.exports.get("file").cursor
    run_id = ended(db, NAMED)
    move_all(db, archive, settings)
    raw.xtrim("events", maxlen=1)
    assert run_id in {end.run_id for end in db.exports.list_ended(str(begun))}


def test_a_run_that_began_with_a_model_keeps_its_name_in_the_lineage(
    db: RedisDB, archive: Archive, settings: Settings, raw: redis.Redis
) -> None:
    run_id = ended(db, NAMED)
    node = {shown.id: shown for shown in db.models.trace(run_id).nodes}[run_id]
    move_all(db, archive, settings)
    assert {shown.id: shown for shown in db.models.trace(run_id).nodes}[run_id] == node


def test_who_repeats_a_submission_is_answered_with_its_run_wherever_that_is(
    db: RedisDB, redis_url: str, archive: Archive, settings: Settings
) -> None:
    run = db.queue.submit({"num_epochs": 1}, RunOptions(queue="mine"), idempotency_key="k1")
    db.queue.finish(claim(db, queue="mine"), Status.DONE)
    request = ExperimentRequest(name="mine")
    begun = db.external.begin(request, idempotency_key="k2")
    db.external.end(begun.run.run_id, Status.DONE)
    move_all(db, archive, settings)
    count = len(list(db.listed.list_ids()))

    again = db.queue.submit({"num_epochs": 1}, RunOptions(queue="mine"), idempotency_key="k1")
    assert (again.run_id, again.status) == (run.run_id, Status.DONE)
    assert db.queue.is_submitted("k1")
    known = db.external.begin(request, idempotency_key="k2")
    assert (known.run.run_id, known.run.status, known.is_new) == (begun.run.run_id, Status.DONE, False)
    assert len(list(db.listed.list_ids())) == count
    with RedisDB(redis_url) as without, pytest.raises(Conflict, match="was not given"):
        without.queue.submit({"num_epochs": 1}, RunOptions(queue="mine"), idempotency_key="k1")


def test_what_a_script_reports_uses_up_no_quota(db: RedisDB, raw: redis.Redis) -> None:
    run_id = begin(db, project="scripts")
    raw.hincrbyfloat(f"run:{run_id}", "heard_at", -60)
    db.metrics.record(run_id, batch(loss=[1.0]), at=db.now())
    assert (db.runs.get(run_id).duration_s or 0) >= 60
    assert raw.keys("quotas:used:*scripts*") == []
