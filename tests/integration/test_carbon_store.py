"""Runs that follow the grid are submitted with a plan and planned again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import redis

from redis_db import RedisDB
from schema import Requires, Status
from tests.green_runs import (
    EAST_OR_WEST,
    GREEN,
    LATER,
    PARAMS,
    PAST,
    RETRYABLE,
    everything,
    log_of,
    planned,
    postpone,
    start,
    submit,
)
from tests.records import WORKER, claim, plan


def test_a_run_is_deferred_until_its_plan_starts_and_says_why(db: RedisDB, raw: redis.Redis) -> None:
    made = plan(LATER, deferred_until=LATER)
    run = db.queue.submit(PARAMS, GREEN, run_id="a", plan=made)
    assert run == db.runs.get("a")
    assert (run.status, run.due_at, run.status_reason) == (Status.DEFERRED, LATER, made.reason)
    assert run.carbon == made
    assert planned(raw) == {"a": made.next_at.timestamp()}
    assert log_of(db) == [made.reason]
    assert db.queue.claim(["default"], worker_id=WORKER, lease_s=60) is None
    raw.zadd("queue:deferred", {"a": 1})
    assert db.queue.promote_due() == ["a"]
    assert db.runs.get("a").status_reason == made.reason
    assert claim(db).run.carbon == made


def test_a_run_whose_plan_says_now_waits_and_says_why(db: RedisDB, raw: redis.Redis) -> None:
    blind = plan(PAST, g_per_kwh=None, run_now_g_per_kwh=None, windows=(), zone=None, provider=None)
    run = db.queue.submit(PARAMS, GREEN, run_id="a", plan=blind)
    assert (run.status, run.status_reason, run.carbon) == (Status.WAITING, blind.reason, blind)
    assert claim(db).run.status_reason is None
    assert planned(raw) == {"a": blind.next_at.timestamp()}


def test_a_run_without_a_plan_waits_and_is_to_be_planned_at_once(db: RedisDB) -> None:
    run = db.queue.submit(PARAMS, GREEN)
    assert (run.status, run.carbon) == (Status.WAITING, None)
    assert db.carbon.list_due() == [run]


def test_other_runs_do_not_grow_by_a_byte(db: RedisDB, raw: redis.Redis) -> None:
    run = db.queue.submit(PARAMS, plan=plan(LATER))
    assert run.status is Status.WAITING
    assert set(raw.hgetall(f"run:{run.run_id}")) == {"status", "time_added", "hyper_params", "num_epochs"}
    lease = claim(db)
    db.queue.release(lease, reason="stop")
    db.queue.finish(claim(db), Status.DONE)
    db.controls.delete(run.run_id)
    assert set(raw.scan_iter()) == {"counters", "events", "queue:names", "queue:wake:default"}


def test_of_two_times_to_start_the_later_one_counts(db: RedisDB) -> None:
    sooner = datetime(2099, 1, 1, tzinfo=UTC)
    options = GREEN.model_copy(update={"start_at": LATER})
    run = submit(db, sooner, options)
    assert run.due_at == LATER
    again = db.carbon.replan(run, plan(PAST))
    assert again is not None
    assert (again.status, again.due_at) == (Status.DEFERRED, LATER)


def test_with_several_zones_it_waits_where_its_plan_says(db: RedisDB, raw: redis.Redis) -> None:
    run = submit(db, options=EAST_OR_WEST)
    assert raw.lrange("queue:requests:zone-de", 0, -1) == ["a"]
    assert db.line.count_before([run])["a"].runs == 0
    moved = db.carbon.replan(run, plan(PAST, zone="US-CA"))
    assert moved is not None
    assert (moved.status, moved.status_reason) == (Status.WAITING, plan(PAST).reason)
    assert raw.lrange("queue:requests:zone-us-ca", 0, -1) == ["a"]
    assert not raw.exists("queue:requests:zone-de")
    assert db.line.count_before([moved])["a"].runs == 0
    assert raw.smembers("queue:demand") == {"a"}
    back = db.carbon.replan(moved, plan(PAST, zone=None))
    assert back is not None
    assert raw.lrange("queue:requests", 0, -1) == ["a"]


def test_what_it_requires_goes_with_it_to_another_zone(db: RedisDB, raw: redis.Redis) -> None:
    options = EAST_OR_WEST.model_copy(update={"requires": Requires(gpus=2), "priority": "high"})
    run = submit(db, LATER, options)
    db.carbon.replan(run, plan(PAST, zone="US-CA"))
    assert raw.lrange("queue:requests:zone-us-ca.gpus-2:high", 0, -1) == ["a"]
    assert db.queue.list_requirements() == {"zone-us-ca.gpus-2": ("zone-us-ca", Requires(gpus=2))}


def test_a_deferred_run_is_due_at_another_time(db: RedisDB, raw: redis.Redis) -> None:
    run = submit(db, LATER)
    sooner = plan(LATER - timedelta(hours=3), next_at=datetime(2026, 3, 1, 14, tzinfo=UTC))
    again = db.carbon.replan(run, sooner)
    assert again == db.runs.get("a")
    assert again is not None
    assert (again.due_at, again.status_reason, again.carbon) == (sooner.start_at, sooner.reason, sooner)
    assert raw.zscore("queue:deferred", "a") == sooner.start_at.timestamp()
    assert planned(raw) == {"a": sooner.next_at.timestamp()}
    assert log_of(db) == [plan(LATER).reason, sooner.reason]
    assert [event.kind for event in db.events.list()] == ["submitted", "replanned"]
    assert [found.run_id for found in db.runs.list(status=Status.DEFERRED).runs] == ["a"]


def test_a_deferred_run_that_is_to_run_now_is_claimed_next(db: RedisDB) -> None:
    run = submit(db, LATER)
    db.queue.submit(PARAMS, run_id="b")
    again = db.carbon.replan(run, plan(PAST))
    assert again is not None
    assert (again.status, again.due_at, again.status_reason) == (Status.WAITING, None, plan(PAST).reason)
    assert claim(db).run_id == "a"


def test_a_waiting_run_is_deferred_again(db: RedisDB, raw: redis.Redis) -> None:
    run = submit(db)
    again = db.carbon.replan(run, plan(LATER))
    assert again is not None
    assert (again.status, again.due_at, again.status_reason) == (Status.DEFERRED, LATER, plan(LATER).reason)
    assert not raw.exists("queue:requests", "queue:demand")


def test_a_waiting_run_that_may_go_on_waiting_keeps_its_place(db: RedisDB) -> None:
    db.queue.submit(PARAMS, run_id="first")
    run = submit(db)
    db.queue.submit(PARAMS, run_id="last")
    assert db.carbon.replan(run, plan(PAST - timedelta(hours=1))) is not None
    assert [claim(db, worker_id=name).run_id for name in "xyz"] == ["first", "a", "last"]


def test_a_running_run_goes_on_under_another_plan(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db)
    newer = plan(PAST, next_at=LATER)
    again = db.carbon.replan(run, newer)
    assert again is not None
    assert (again.status, again.carbon, again.request) == (Status.RUNNING, newer, None)
    assert db.queue.renew(lease, lease_s=60) is None
    assert planned(raw) == {"a": LATER.timestamp()}


def test_a_plan_for_a_run_that_has_moved_on_changes_nothing(db: RedisDB, raw: redis.Redis) -> None:
    submitted = submit(db, LATER)
    db.controls.pause("a")
    db.controls.resume("a")
    waiting = db.runs.get("a")
    lease = claim(db)
    running = db.runs.get("a")
    db.queue.release(lease, reason="stop")
    claim(db)
    before = everything(raw)
    for seen in (submitted, waiting, running):
        assert db.carbon.replan(seen, plan(LATER - timedelta(hours=1))) is None
        assert db.carbon.postpone(seen, plan(LATER - timedelta(hours=1))) is None
    assert everything(raw) == before


def test_a_plan_for_another_status_changes_nothing_also_in_the_same_attempt(
    db: RedisDB, raw: redis.Redis
) -> None:
    deferred = submit(db, LATER)
    raw.zadd("queue:deferred", {"a": 1})
    db.queue.promote_due()
    waiting = db.runs.get("a")
    assert db.carbon.replan(deferred, plan(LATER - timedelta(hours=1))) is None
    assert db.runs.get("a") == waiting
    assert db.carbon.replan(waiting, plan(LATER - timedelta(hours=2))) is not None
    assert db.carbon.replan(waiting, plan(PAST)) is None
    assert db.runs.get("a").status is Status.DEFERRED


def test_a_run_that_is_paused_or_has_ended_is_not_planned(db: RedisDB, raw: redis.Redis) -> None:
    submit(db, LATER)
    for wish in (db.controls.pause, db.controls.cancel):
        run = wish("a")
        before = everything(raw)
        assert db.carbon.replan(run, plan(LATER - timedelta(hours=1))) is None
        assert everything(raw) == before


def test_what_has_no_plan_gets_none(db: RedisDB, raw: redis.Redis) -> None:
    run = db.queue.submit(PARAMS, run_id="a")
    missing = run.model_copy(update={"run_id": "missing"})
    before = everything(raw)
    for seen in (run, missing):
        assert db.carbon.replan(seen, plan(LATER)) is None
        assert db.carbon.postpone(seen, plan(LATER)) is None
    assert everything(raw) == before


def test_a_plan_whose_reply_was_lost_is_repeated_without_effect(db: RedisDB, raw: redis.Redis) -> None:
    run = submit(db, LATER)
    now = db.carbon.replan(run, plan(PAST))
    before = everything(raw)
    assert db.carbon.replan(run, plan(PAST)) == now
    assert everything(raw) == before
    claim(db)
    run = db.runs.get("a")
    asked = postpone(db, run)
    before = everything(raw)
    assert postpone(db, run) == asked
    assert everything(raw) == before


def test_a_plan_does_not_cut_the_pause_after_a_failure_short(db: RedisDB, raw: redis.Redis) -> None:
    lease, _ = start(db)
    db.queue.finish(lease, Status.FAILED, error=RETRYABLE, jitter=0.5)
    failed = db.runs.get("a")
    assert list(planned(raw)) == ["a"]
    again = db.carbon.replan(failed, plan(PAST, next_at=LATER))
    assert again is not None
    assert (again.status, again.status_reason) == (Status.DEFERRED, failed.status_reason)
    assert again.due_at == failed.due_at
    later = db.carbon.replan(failed, plan(LATER))
    assert later is not None
    assert (later.due_at, later.status_reason) == (LATER, plan(LATER).reason)
    sooner = db.carbon.replan(failed, plan(PAST))
    assert sooner is not None
    assert sooner.due_at == failed.due_at
    raw.zadd("queue:deferred", {"a": 1})
    db.queue.promote_due()
    assert claim(db).attempt == 2
    assert not raw.hexists("run:a", "not_before")


def test_a_line_of_the_planner_is_in_the_log_of_a_run_that_exists(db: RedisDB, raw: redis.Redis) -> None:
    db.queue.submit(PARAMS, run_id="a")
    db.carbon.log("a", "no intensities of DE: \ud800 it runs now")
    assert log_of(db) == ["no intensities of DE: ? it runs now"]
    db.carbon.log("a", "x" * 5_000)
    assert log_of(db)[1] == "x" * 4_000 + " … (1000 characters cut)"
    before = everything(raw)
    db.carbon.log("missing", "gone")
    assert everything(raw) == before


def test_the_runs_that_are_to_be_planned_by_now_come_longest_overdue_first(
    db: RedisDB, raw: redis.Redis
) -> None:
    for run_id in ("a", "b", "c", "d"):
        db.queue.submit(PARAMS, GREEN, run_id=run_id, plan=plan(LATER))
    raw.zadd("queue:carbon", {"a": 300, "b": 100, "c": 200, "d": LATER.timestamp()})
    assert [run.run_id for run in db.carbon.list_due()] == ["b", "c", "a"]
    assert [run.run_id for run in db.carbon.list_due(limit=2)] == ["b", "c"]
