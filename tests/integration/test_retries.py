"""What is tried again, when, and how often: failures with a back-off, lost leases, outages."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import redis

from errors import LeaseLost
from redis_db import RedisDB
from schema import Lease, RunError, RunOptions, Status
from store.queue import MAX_LEASE_LOSSES, MAX_RETRY_S, RETRY_BASE_S
from tests.records import claim, running

RETRYABLE = RunError(kind="OSError", message="the disk is full\nreally", is_retryable=True)
FINAL = RunError(kind="TrainingFailed", message="the loss is NaN")


def start(db: RedisDB, max_failures: int = 3) -> Lease:
    db.queue.submit({"num_epochs": 3}, RunOptions(max_failures=max_failures), run_id="a")
    return claim(db)


def restart(db: RedisDB, raw: redis.Redis) -> Lease:
    """Wind the clock of the back-off forward and claim the run."""
    raw.zadd("queue:deferred", {"a": 1})
    assert db.queue.promote_due() == ["a"]
    return claim(db)


def fail(
    db: RedisDB, lease: Lease, retry_base_s: float = RETRY_BASE_S, jitter: float | None = None
) -> Status:
    return db.queue.finish(lease, Status.FAILED, error=RETRYABLE, retry_base_s=retry_base_s, jitter=jitter)


def test_a_retryable_failure_defers_the_run_and_says_until_when(db: RedisDB, raw: redis.Redis) -> None:
    lease = start(db)
    before = db.now()
    assert fail(db, lease, jitter=0.5) is Status.DEFERRED
    run = db.runs.get("a")
    assert (run.status, run.failures, run.worker, run.ended_at) == (Status.DEFERRED, 1, None, None)
    assert run.due_at is not None
    assert timedelta(seconds=5) <= run.due_at - before < timedelta(seconds=6)
    clock = f"{run.due_at:%H:%M:%S} UTC"
    assert run.status_reason == f"attempt 1 failed: OSError: the disk is full …; tried again at {clock}"
    assert (run.error, run.error and run.error.is_retryable) == (RETRYABLE, True)
    (attempt,) = db.runs.list_attempts("a")
    assert (attempt.end_reason, attempt.error) == ("failed", "OSError: the disk is full …")
    assert raw.exists("queue:leases", "queue:holders", "queue:demand", "queue:requests") == 0
    again = restart(db, raw)
    assert (again.attempt, again.run.error, again.run.due_at) == (2, None, None)


def test_a_deferred_run_may_be_resumed_at_once_and_starts_without_its_old_error(db: RedisDB) -> None:
    fail(db, start(db))
    assert db.controls.resume("a").error is not None
    assert claim(db).run.error is None


def test_the_error_of_an_attempt_is_one_short_line(db: RedisDB) -> None:
    error = RunError(kind="OSError", message="x" * 1000)
    db.queue.finish(start(db), Status.FAILED, error=error)
    (attempt,) = db.runs.list_attempts("a")
    assert attempt.error == "OSError: " + "x" * 290 + "…"


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_the_back_off_doubles_with_every_failure_up_to_its_limit(
    db: RedisDB, raw: redis.Redis, jitter: float
) -> None:
    lease = start(db, max_failures=10)
    for failures in range(10):
        before_s = db.now().timestamp()
        fail(db, lease, retry_base_s=4, jitter=jitter)
        due_s = raw.zscore("queue:deferred", "a") or 0
        wanted_s = min(4 * 2**failures * (0.5 + jitter), MAX_RETRY_S)
        assert wanted_s - 0.01 <= due_s - before_s < wanted_s + 1
        lease = restart(db, raw)


def test_pauses_are_spread_when_nobody_says_how(db: RedisDB, raw: redis.Redis) -> None:
    due = set()
    for number in range(5):
        lease = running(db, run_id=f"r{number}", worker_id=f"w{number}")
        fail(db, lease, retry_base_s=500)
        due.add(round(raw.zscore("queue:deferred", f"r{number}") or 0))
    assert len(due) > 1


def test_failures_are_bounded(db: RedisDB, raw: redis.Redis) -> None:
    lease = start(db, max_failures=2)
    for _ in range(2):
        assert fail(db, lease) is Status.DEFERRED
        lease = restart(db, raw)
    assert fail(db, lease) is Status.FAILED
    run = db.runs.get("a")
    assert (run.status, run.failures, run.error) == (Status.FAILED, 3, RETRYABLE)
    assert raw.exists("queue:deferred", "queue:requests", "queue:leases", "queue:demand") == 0


@pytest.mark.parametrize("error", [None, RETRYABLE.model_copy(update={"is_retryable": False})])
def test_what_would_fail_again_is_not_tried_again(db: RedisDB, error: RunError | None) -> None:
    assert db.queue.finish(start(db), Status.FAILED, error=error) is Status.FAILED


def test_a_failure_whose_reply_was_lost_counts_once(db: RedisDB, raw: redis.Redis) -> None:
    lease = start(db)
    assert [fail(db, lease) for _ in range(2)] == [Status.DEFERRED] * 2
    assert db.runs.get("a").failures == 1
    second = restart(db, raw)
    assert fail(db, lease) is Status.DEFERRED
    with pytest.raises(LeaseLost):
        db.queue.finish(lease, Status.DONE)
    run = db.runs.get("a")
    assert (run.status, run.failures, run.attempt) == (Status.RUNNING, 1, second.attempt)


@pytest.mark.parametrize(("wish", "status"), [("cancel", Status.CANCELLED), ("pause", Status.PAUSED)])
def test_a_failure_that_would_be_tried_again_ends_as_was_asked_for(
    db: RedisDB, raw: redis.Redis, wish: str, status: Status
) -> None:
    lease = start(db)
    getattr(db.controls, wish)("a")
    assert [fail(db, lease) for _ in range(2)] == [status] * 2
    run = db.runs.get("a")
    assert (run.status, run.failures, run.error, run.request) == (status, 1, RETRYABLE, None)
    assert raw.exists("queue:deferred", "queue:requests") == 0


@pytest.mark.parametrize(
    ("wish", "error", "status"),
    [
        ("cancel", None, Status.CANCELLED),
        ("cancel", FINAL, Status.CANCELLED),
        ("cancel", RETRYABLE, Status.CANCELLED),
        ("pause", None, Status.FAILED),
        ("pause", FINAL, Status.FAILED),
        ("pause", RETRYABLE, Status.PAUSED),
    ],
)
def test_a_last_failure_ends_as_was_asked_for_too_but_who_fails_for_good_is_not_paused(
    db: RedisDB, raw: redis.Redis, wish: str, status: Status, error: RunError | None
) -> None:
    lease = start(db, max_failures=0)
    getattr(db.controls, wish)("a")
    finish = [db.queue.finish(lease, Status.FAILED, error=error) for _ in range(2)]
    assert finish == [status] * 2
    run = db.runs.get("a")
    assert (run.status, run.failures, run.error, run.request) == (status, 1, error, None)
    assert (run.ended_at is None, raw.exists("queue:paused")) == (status is Status.PAUSED,) * 2


def test_a_resumed_run_that_fails_once_more_than_it_may_has_failed(db: RedisDB) -> None:
    lease = start(db, max_failures=0)
    db.controls.pause("a")
    fail(db, lease)
    db.controls.resume("a")
    assert fail(db, claim(db)) is Status.FAILED


def test_a_run_that_lost_too_many_leases_is_cancelled_where_that_was_asked_for(
    db: RedisDB, raw: redis.Redis
) -> None:
    start(db)
    raw.hset("run:a", "lease_losses", MAX_LEASE_LOSSES)
    db.controls.cancel("a")
    raw.zadd("queue:leases", {"a": 1})
    db.queue.requeue_expired(grace_s=0)
    assert db.runs.get("a").status is Status.CANCELLED


def test_a_retry_forgets_failures_and_lost_leases(db: RedisDB, raw: redis.Redis) -> None:
    lease = start(db, max_failures=0)
    raw.hset("run:a", "lease_losses", MAX_LEASE_LOSSES)
    fail(db, lease)
    db.controls.retry("a")
    lease = claim(db)
    raw.zadd("queue:leases", {"a": 1})
    db.queue.requeue_expired(grace_s=0)
    run = db.runs.get("a")
    assert (run.status, run.lease_losses, run.failures) == (Status.WAITING, 1, 0)


GRACE_S = 10.0


def steady(raw: redis.Redis, db: RedisDB, *, last_ago_s: float, since_ago_s: float) -> None:
    """Wind the clock of reaping back, as if somebody had reaped since then."""
    now_s = db.now().timestamp()
    raw.hset("queue:reaping", "last_s", repr(now_s - last_ago_s))
    raw.hset("queue:reaping", "steady_since_s", repr(now_s - since_ago_s))


def expired(db: RedisDB, raw: redis.Redis) -> str:
    run_id = running(db).run_id
    db.queue.requeue_expired(grace_s=GRACE_S)
    raw.zadd("queue:leases", {run_id: 1})
    return run_id


def reap(db: RedisDB) -> list[str]:
    return db.queue.requeue_expired(grace_s=GRACE_S)


def test_an_expired_lease_is_reaped_when_somebody_reaped_all_along(db: RedisDB, raw: redis.Redis) -> None:
    run_id = expired(db, raw)
    steady(raw, db, last_ago_s=1, since_ago_s=GRACE_S + 1)
    assert reap(db) == [run_id]


def test_an_attempt_that_is_reaped_late_ended_with_its_lease(db: RedisDB, raw: redis.Redis) -> None:
    run_id = expired(db, raw)
    an_hour_ago = db.now() - timedelta(hours=1)
    raw.zadd("queue:leases", {run_id: an_hour_ago.timestamp()})
    record = {"worker": "worker-1", "started_at": an_hour_ago.timestamp() - 60}
    raw.hset(f"run:{run_id}:attempts", "1", json.dumps(record))
    steady(raw, db, last_ago_s=1, since_ago_s=GRACE_S + 1)
    assert reap(db) == [run_id]
    (attempt,) = db.runs.list_attempts(run_id)
    assert attempt.ended_at == an_hour_ago


def test_no_attempt_ends_before_it_began(db: RedisDB, raw: redis.Redis) -> None:
    run_id = expired(db, raw)  # its lease is of another clock, far behind
    steady(raw, db, last_ago_s=1, since_ago_s=GRACE_S + 1)
    reap(db)
    (attempt,) = db.runs.list_attempts(run_id)
    assert attempt.ended_at == attempt.started_at


def test_nothing_is_reaped_for_one_lease_after_nobody_did_for_half_of_one(
    db: RedisDB, raw: redis.Redis
) -> None:
    run_id = expired(db, raw)
    steady(raw, db, last_ago_s=GRACE_S / 2 + 1, since_ago_s=1000)
    assert [reap(db), reap(db)] == [[], []]
    steady(raw, db, last_ago_s=1, since_ago_s=GRACE_S - 1)
    assert reap(db) == []
    steady(raw, db, last_ago_s=1, since_ago_s=GRACE_S + 1)
    assert reap(db) == [run_id]


def test_nothing_is_reaped_for_one_lease_after_another_server_answered(db: RedisDB, raw: redis.Redis) -> None:
    expired(db, raw)
    steady(raw, db, last_ago_s=0.1, since_ago_s=1000)
    raw.hset("queue:reaping", "server", "0" * 40)
    assert [reap(db), reap(db)] == [[], []]


def test_nothing_is_reaped_for_one_lease_after_the_clock_jumped(db: RedisDB, raw: redis.Redis) -> None:
    expired(db, raw)
    steady(raw, db, last_ago_s=-3600, since_ago_s=-3000)
    assert reap(db) == []
    assert float(raw.hget("queue:reaping", "steady_since_s") or 0) <= db.now().timestamp()


def test_a_gap_below_half_a_lease_is_no_outage(db: RedisDB, raw: redis.Redis) -> None:
    run_id = expired(db, raw)
    steady(raw, db, last_ago_s=GRACE_S / 2 - 1, since_ago_s=1000)
    assert reap(db) == [run_id]


def test_the_outage_of_a_short_lease_is_short_too(db: RedisDB, raw: redis.Redis) -> None:
    run_id = expired(db, raw)
    steady(raw, db, last_ago_s=1.1, since_ago_s=1000)
    assert db.queue.requeue_expired(grace_s=2) == []
    steady(raw, db, last_ago_s=0.5, since_ago_s=1000)
    assert db.queue.requeue_expired(grace_s=2) == [run_id]
