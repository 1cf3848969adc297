"""A running run is postponed: its worker gives it back, and it is deferred for its plan."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import redis

from redis_db import RedisDB
from schema import CarbonOptions, Request, RunOptions, Status
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
from tests.records import claim, plan


def test_a_postponed_run_is_asked_to_stop_and_deferred_for_its_plan(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db)
    made = plan(LATER)
    asked = postpone(db, run)
    assert (asked.status, asked.request, asked.is_postponed) == (Status.RUNNING, "preempt", True)
    assert asked.carbon == made
    assert [db.queue.renew(lease, lease_s=60) for _ in range(2)] == [Request.PREEMPT] * 2
    assert [db.queue.release(lease, reason="preempted") for _ in range(2)] == [Status.DEFERRED] * 2
    stopped = db.runs.get("a")
    assert (stopped.status, stopped.due_at, stopped.status_reason) == (Status.DEFERRED, LATER, made.reason)
    assert (stopped.request, stopped.is_postponed, stopped.worker) == (None, False, None)
    assert (stopped.failures, stopped.lease_losses) == (0, 0)
    assert [attempt.end_reason for attempt in db.runs.list_attempts("a")] == ["postponed"]
    assert not raw.exists("queue:demand", "queue:leases", "queue:holders", "queue:requests")
    assert planned(raw) == {"a": made.next_at.timestamp()}
    assert log_of(db)[-1] == made.reason
    assert [event.kind for event in db.events.list()][-3:] == ["asked", "replanned", "postponed"]


def test_a_run_that_is_to_be_planned_at_its_start_waits_a_moment_for_that(
    db: RedisDB, raw: redis.Redis
) -> None:
    lease, run = start(db)
    postpone(db, run)
    db.queue.release(lease, reason="preempted")
    now_s = db.now().timestamp()
    raw.zadd("queue:deferred", {"a": now_s - 1})
    raw.zadd("queue:carbon", {"a": now_s - 1})
    assert db.queue.promote_due() == []
    assert db.runs.get("a").status is Status.DEFERRED
    raw.zadd("queue:carbon", {"a": now_s - 60})  # nobody plans: it runs
    assert db.queue.promote_due() == ["a"]


def test_a_run_that_was_planned_for_now_is_due_at_once(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db)
    postpone(db, run)
    db.queue.release(lease, reason="preempted")
    now_s = db.now().timestamp()
    raw.zadd("queue:deferred", {"a": now_s - 1})
    raw.zadd("queue:carbon", {"a": now_s + 3600})
    assert db.queue.promote_due() == ["a"]


def test_a_release_that_is_repeated_after_the_run_went_on_says_what_it_was(
    db: RedisDB, raw: redis.Redis
) -> None:
    lease, run = start(db)
    postpone(db, run)
    db.queue.release(lease, reason="preempted")
    raw.zadd("queue:deferred", {"a": 1})
    db.queue.promote_due()
    claim(db, worker_id="next")
    assert db.queue.release(lease, reason="preempted") is Status.DEFERRED
    assert db.runs.get("a").status is Status.RUNNING


def test_a_newer_plan_moves_what_is_postponed(db: RedisDB) -> None:
    lease, run = start(db)
    postpone(db, run)
    sooner = LATER - timedelta(hours=5)
    postpone(db, db.runs.get("a"), sooner)
    db.queue.release(lease, reason="preempted")
    assert db.runs.get("a").due_at == sooner


def test_what_is_due_by_the_time_it_stopped_waits_at_once(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db)
    postpone(db, run)
    stored = json.loads(str(raw.hget("run:a", "carbon")))
    raw.hset("run:a", "carbon", json.dumps(stored | {"start_at": 1}))
    assert [db.queue.release(lease, reason="preempted") for _ in range(2)] == [Status.WAITING] * 2
    assert claim(db).attempt == 2


def test_a_running_run_moves_to_another_zone(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db, EAST_OR_WEST)
    asked = postpone(db, run, PAST, zone="US-CA")
    assert (asked.request, asked.is_postponed) == ("preempt", True)
    assert [db.queue.release(lease, reason="preempted") for _ in range(2)] == [Status.WAITING] * 2
    assert raw.lrange("queue:requests:zone-us-ca", 0, -1) == ["a"]


def test_a_worker_that_is_lost_leaves_a_postponed_run_deferred(db: RedisDB, raw: redis.Redis) -> None:
    _, run = start(db)
    postpone(db, run)
    raw.zadd("queue:leases", {"a": 1})
    db.queue.requeue_expired(grace_s=0)
    lost = db.runs.get("a")
    assert (lost.status, lost.due_at, lost.lease_losses) == (Status.DEFERRED, LATER, 1)
    assert (lost.request, lost.is_postponed) == (None, False)
    assert not raw.exists("queue:demand", "queue:requests")


def test_a_worker_that_is_lost_once_too_often_fails_also_a_postponed_run(
    db: RedisDB, raw: redis.Redis
) -> None:
    _, run = start(db)
    postpone(db, run)
    raw.hset("run:a", "lease_losses", 5)
    raw.zadd("queue:leases", {"a": 1})
    db.queue.requeue_expired(grace_s=0)
    assert db.runs.get("a").status is Status.FAILED
    assert not raw.exists("queue:carbon", "queue:deferred")


@pytest.mark.parametrize(("wish", "status"), [("cancel", Status.CANCELLED), ("pause", Status.PAUSED)])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_lost", [True, False])
def test_a_pending_cancel_or_pause_wins(
    db: RedisDB, raw: redis.Redis, wish: str, status: Status, is_first: bool, is_lost: bool
) -> None:
    lease, run = start(db)
    if is_first:
        getattr(db.controls, wish)("a")
        before = everything(raw)
        assert db.carbon.postpone(run, plan(LATER)) is None
        assert everything(raw) == before
    else:
        postpone(db, run)
        asked = getattr(db.controls, wish)("a")
        assert (asked.request, asked.is_postponed) == (wish, False)
    assert db.queue.renew(lease, lease_s=60) == wish
    if is_lost:
        raw.zadd("queue:leases", {"a": 1})
        db.queue.requeue_expired(grace_s=0)
    else:
        db.queue.release(lease, reason="stop")
    assert db.runs.get("a").status is status
    assert not raw.exists("queue:carbon", "queue:deferred")


def test_a_preempted_run_may_be_postponed_too(db: RedisDB) -> None:
    lease, run = start(db)
    db.controls.preempt("a")
    assert postpone(db, run).is_postponed
    assert db.controls.preempt("a").is_postponed
    assert db.queue.release(lease, reason="stop") is Status.DEFERRED


def test_what_may_not_be_interrupted_or_has_no_reason_to_stop_goes_on(db: RedisDB, raw: redis.Redis) -> None:
    _, run = start(db, RunOptions(carbon=CarbonOptions(interruptible=False)))
    before = everything(raw)
    assert db.carbon.postpone(run, plan(LATER)) is None
    assert everything(raw) == before
    db.queue.submit(PARAMS, GREEN, run_id="b", plan=plan(PAST))
    claim(db, worker_id="other")
    assert db.carbon.postpone(db.runs.get("b"), plan(PAST - timedelta(hours=1))) is None
    assert db.runs.get("b").request is None


def test_only_a_running_run_is_postponed(db: RedisDB, raw: redis.Redis) -> None:
    sooner = plan(LATER - timedelta(hours=1))
    assert db.carbon.postpone(submit(db), sooner) is None
    db.queue.release(claim(db), reason="stop")
    waiting = db.runs.get("a")
    for status in (Status.WAITING, Status.DEFERRED, Status.PAUSED):
        if status is Status.DEFERRED:
            db.carbon.replan(waiting, plan(LATER))
        if status is Status.PAUSED:
            db.controls.pause("a")
        run, before = db.runs.get("a"), everything(raw)
        assert (run.status, run.attempt) == (status, 1)
        assert db.carbon.postpone(run, sooner) is None
        assert everything(raw) == before


def test_a_run_that_had_the_plan_before_is_postponed_for_it(db: RedisDB) -> None:
    lease, run = start(db)
    assert db.carbon.replan(run, plan(LATER)) is not None
    assert db.queue.renew(lease, lease_s=60) is None
    postpone(db, run)
    assert db.queue.renew(lease, lease_s=60) is Request.PREEMPT


def test_a_plan_to_go_on_withdraws_what_was_postponed(db: RedisDB) -> None:
    lease, run = start(db, EAST_OR_WEST)
    postpone(db, run, zone="US-CA")
    again = db.carbon.replan(db.runs.get("a"), plan(PAST))
    assert again is not None
    assert (again.request, again.is_postponed) == (None, False)
    assert db.queue.renew(lease, lease_s=60) is None
    db.queue.release(lease, reason="stop")
    assert claim(db, queue="zone-de").attempt == 2


def test_a_plan_to_go_on_leaves_what_a_person_asked_for(db: RedisDB) -> None:
    lease, run = start(db)
    db.controls.preempt("a")
    assert db.carbon.replan(run, plan(PAST, next_at=LATER)) is not None
    assert db.queue.renew(lease, lease_s=60) is Request.PREEMPT


def test_a_failure_of_a_postponed_run_waits_for_its_plan(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db)
    postpone(db, run)
    for _ in range(2):
        assert db.queue.finish(lease, Status.FAILED, error=RETRYABLE) is Status.DEFERRED
    failed = db.runs.get("a")
    assert (failed.due_at, failed.failures, failed.request) == (LATER, 1, None)
    assert not raw.hexists("run:a", "is_postponed")


def test_a_failure_of_a_run_that_is_to_move_at_once_pauses_it_all_the_same(db: RedisDB) -> None:
    lease, run = start(db, EAST_OR_WEST)
    postpone(db, run, PAST, zone="US-CA")
    db.queue.finish(lease, Status.FAILED, error=RETRYABLE, jitter=0.5)
    due_at = db.runs.get("a").due_at
    assert due_at is not None
    assert due_at > db.now()


def test_a_run_that_is_done_before_it_hears_of_it_is_done(db: RedisDB, raw: redis.Redis) -> None:
    lease, run = start(db)
    postpone(db, run)
    assert db.queue.finish(lease, Status.DONE) is Status.DONE
    done = db.runs.get("a")
    assert (done.request, done.is_postponed, done.status_reason) == (None, False, None)
    assert not raw.exists("queue:carbon", "queue:deferred")
    assert db.carbon.list_unsettled() == [done]
