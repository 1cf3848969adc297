"""What people do to runs that follow the grid."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis

from errors import Conflict, NotFound
from redis_db import RedisDB
from schema import Status
from tests.green_runs import (
    EAST_OR_WEST,
    LATER,
    PARAMS,
    everything,
    log_of,
    postpone,
    start,
    submit,
)
from tests.records import claim, plan


@pytest.mark.parametrize("control", ["run_now", "resume"])
def test_a_deferred_run_is_run_now_and_never_deferred_again(
    db: RedisDB, raw: redis.Redis, control: str
) -> None:
    submit(db, LATER)
    db.queue.submit(PARAMS, run_id="b")
    run = getattr(db.controls, control)("a")
    assert run == db.runs.get("a")
    assert (run.status, run.status_reason, run.due_at) == (Status.WAITING, "run now was asked for", None)
    assert run.carbon == plan(LATER, is_override=True, reason="run now was asked for")
    assert not raw.exists("queue:carbon")
    assert db.carbon.replan(run, plan(LATER - timedelta(hours=1))) is None
    before = everything(raw)
    assert getattr(db.controls, control)("a") == run
    assert everything(raw) == before
    assert claim(db).run_id == "a"
    assert db.carbon.postpone(db.runs.get("a"), plan(LATER - timedelta(hours=1))) is None


@pytest.mark.parametrize("control", ["run_now", "resume"])
def test_a_postponed_run_goes_on_when_it_is_to_run_now(db: RedisDB, raw: redis.Redis, control: str) -> None:
    lease, run = start(db)
    postpone(db, run)
    going = getattr(db.controls, control)("a")
    assert (going.request, going.is_postponed, going.status) == (None, False, Status.RUNNING)
    assert going.carbon is not None
    assert going.carbon.is_override
    assert db.queue.renew(lease, lease_s=60) is None
    assert not raw.exists("queue:carbon")
    assert db.queue.release(lease, reason="stop") is Status.WAITING


@pytest.mark.parametrize("wish", ["pause", "preempt", None])
def test_run_now_keeps_a_running_run_where_it_is(db: RedisDB, raw: redis.Redis, wish: str | None) -> None:
    lease, run = start(db)
    if wish:
        getattr(db.controls, wish)("a")
    db.controls.run_now("a")
    assert db.queue.renew(lease, lease_s=60) is None
    assert db.carbon.postpone(run, plan(LATER)) is None
    assert not raw.exists("queue:carbon")


def test_run_now_lets_a_waiting_run_keep_its_place_and_a_paused_one_wait(db: RedisDB) -> None:
    submit(db)
    db.queue.submit(PARAMS, run_id="b")
    run = db.controls.run_now("a")
    assert db.carbon.replan(run, plan(LATER)) is None
    db.controls.pause("b")
    assert db.controls.run_now("b").status is Status.WAITING
    assert [claim(db, worker_id=name).run_id for name in "xy"] == ["b", "a"]


def test_run_now_is_refused_for_what_has_ended_or_ends(db: RedisDB, raw: redis.Redis) -> None:
    lease, _ = start(db)
    db.controls.cancel("a")
    for _ in range(2):
        before = everything(raw)
        with pytest.raises(Conflict, match="Run a is"):
            db.controls.run_now("a")
        assert everything(raw) == before
        if raw.exists("queue:leases"):
            db.queue.release(lease, reason="stop")
    with pytest.raises(NotFound, match="missing"):
        db.controls.run_now("missing")


def test_a_paused_run_is_planned_once_somebody_resumes_it(db: RedisDB, raw: redis.Redis) -> None:
    submit(db, LATER)
    db.controls.pause("a")
    assert not raw.exists("queue:carbon")
    run = db.controls.resume("a")
    assert (run.status, run.carbon) == (Status.WAITING, plan(LATER))
    assert db.carbon.list_due() == [run]
    again = db.carbon.replan(run, plan(LATER - timedelta(hours=1)))
    assert again is not None
    assert again.status is Status.DEFERRED


def test_a_paused_run_that_was_to_run_now_stays_so(db: RedisDB, raw: redis.Redis) -> None:
    submit(db, LATER)
    db.controls.run_now("a")
    db.controls.pause("a")
    db.controls.resume("a")
    assert not raw.exists("queue:carbon")


def test_a_run_that_is_tried_again_is_planned_again(db: RedisDB, raw: redis.Redis) -> None:
    lease, _ = start(db)
    db.queue.finish(lease, Status.FAILED)
    assert not raw.exists("queue:carbon")
    assert list(raw.zrange("carbon:unsettled", 0, -1)) == ["a"]
    run = db.controls.retry("a")
    assert db.carbon.list_due() == [run]
    assert not raw.exists("carbon:unsettled")


def test_a_deleted_run_is_settled_no_more(db: RedisDB, raw: redis.Redis) -> None:
    submit(db, LATER)
    db.controls.cancel("a")
    assert [run.run_id for run in db.carbon.list_unsettled()] == ["a"]
    db.controls.delete("a")
    assert set(raw.scan_iter()) == {"counters", "events"}


def test_a_run_that_changed_since_is_led_to_no_other_zone(db: RedisDB, raw: redis.Redis) -> None:
    submit(db, LATER, EAST_OR_WEST)
    seen = db.runs.get("a")
    moved = seen.model_copy(update={"carbon": plan(LATER, zone="US-CA", reason="Runs now in US-CA.")})
    db.controls.run_now("a")
    claim(db, queue="zone-de")
    for _ in range(2):
        before = everything(raw)
        db.controls.run_now("a", moved=moved)
        assert everything(raw) == before
        if db.runs.get("a").status is Status.RUNNING:
            raw.zadd("queue:leases", {"a": 1})
            db.queue.requeue_expired(grace_s=0)
    again = db.runs.get("a").model_copy(update={"carbon": moved.carbon})
    for _ in range(2):
        run = db.controls.run_now("a", moved=again)
        assert run.carbon is not None
        assert (run.carbon.zone, run.status) == ("US-CA", Status.WAITING)
    assert log_of(db)[1:] == ["Runs now in US-CA."]
    assert not raw.exists("queue:carbon")
    assert claim(db, queue="zone-us-ca").run_id == "a"


def test_a_paused_run_that_is_planned_on_stays_in_its_zone(db: RedisDB) -> None:
    submit(db, LATER, EAST_OR_WEST)
    db.controls.pause("a")
    seen = db.runs.get("a")
    moved = seen.model_copy(update={"carbon": plan(LATER, zone="US-CA")})
    assert db.controls.resume("a", moved=moved).carbon == seen.carbon
    db.controls.run_now("a")
    db.controls.pause("a")
    assert db.controls.resume("a", moved=moved).carbon == plan(
        LATER, zone="US-CA", is_override=True, reason="run now was asked for"
    )
    assert claim(db, queue="zone-us-ca").run_id == "a"
