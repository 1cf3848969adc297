"""From submission to the end of a run: every change of status, on a real Redis."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from pydantic import JsonValue

from errors import Conflict, InvalidInput, LeaseLost
from redis_db import RedisDB
from schema import RunError, RunOptions, Status
from store.queue import MAX_LEASE_LOSSES
from tests.records import WORKER, claim, epoch, running

PARAMS: dict[str, JsonValue] = {"num_epochs": 3, "learning_rate": 0.1}


def expire(raw: redis.Redis, run_id: str) -> None:
    """Wind a lease's clock forward."""
    raw.zadd("queue:leases", {run_id: 1})


def reap(db: RedisDB) -> list[str]:
    return db.queue.requeue_expired(grace_s=0)


def test_a_submitted_run_waits_with_everything_it_was_given(db: RedisDB) -> None:
    options = RunOptions(queue="gpu", priority="high", tags=("é", "b"))
    run = db.queue.submit({**PARAMS, "note": "größer"}, options)
    assert run == db.runs.get(run.run_id)
    assert (run.status, run.options, run.num_epochs, run.attempt) == (Status.WAITING, options, 3, 0)
    assert run.hyper_params == {**PARAMS, "note": "größer"}
    assert (db.queue.length("gpu"), db.queue.length("default"), db.queue.length()) == (1, 0, 1)
    assert abs((db.now() - run.time_added).total_seconds()) < 5


def test_runs_are_claimed_in_the_order_they_came_urgent_ones_first(db: RedisDB) -> None:
    for run_id, priority in (("a", "normal"), ("b", "high"), ("c", "normal"), ("d", "high")):
        db.queue.submit(PARAMS, RunOptions.model_validate({"priority": priority}), run_id=run_id)
    db.queue.submit(PARAMS, RunOptions(queue="second", priority="high"), run_id="e")
    queues = ["default", "second"]
    leases = [db.queue.claim(queues, worker_id=f"w{i}", lease_s=60) for i in range(6)]
    assert [lease and lease.run_id for lease in leases] == ["b", "d", "a", "c", "e", None]


def test_a_claim_holds_the_run_under_a_lease(db: RedisDB, raw: redis.Redis) -> None:
    db.queue.submit(PARAMS, run_id="a")
    lease = claim(db, lease_s=30)
    assert lease.run == db.runs.get("a")
    assert (lease.run.status, lease.attempt, lease.run.worker) == (Status.RUNNING, 1, WORKER)
    assert lease.run.started_at is not None
    assert 29 < float(raw.zscore("queue:leases", "a") or 0) - db.now().timestamp() <= 30
    assert (db.queue.length("default"), db.queue.length()) == (0, 0)
    assert raw.smembers("queue:demand") == {"a"}


def test_two_claimers_never_get_the_same_run(db: RedisDB, redis_url: str) -> None:
    ids = {db.queue.submit(PARAMS).run_id for _ in range(200)}
    start = threading.Barrier(4)

    def claim_all(number: int) -> list[str]:
        claimed: list[str] = []
        with RedisDB(redis_url) as own:
            start.wait()
            while lease := own.queue.claim(["default"], worker_id=f"{number}-{len(claimed)}", lease_s=60):
                claimed.append(lease.run_id)
        return claimed

    with ThreadPoolExecutor(4) as threads:
        claimed = [run_id for part in threads.map(claim_all, range(4)) for run_id in part]
    assert len(claimed) == 200
    assert set(claimed) == ids


def test_a_claim_whose_reply_was_lost_is_answered_again(db: RedisDB) -> None:
    db.queue.submit(PARAMS, run_id="a")
    db.queue.submit(PARAMS, run_id="b")
    first, again = claim(db), claim(db)
    assert (again.run_id, again.attempt) == (first.run_id, first.attempt) == ("a", 1)
    assert claim(db, worker_id="other").run_id == "b"
    db.queue.finish(first, Status.DONE)
    assert db.queue.claim(["default"], worker_id=WORKER, lease_s=60) is None


def test_an_id_whose_run_no_longer_waits_is_dropped(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    raw.rpush("queue:requests", lease.run_id, lease.run_id)
    db.queue.submit(PARAMS, run_id="b")
    assert claim(db, worker_id="other").run_id == "b"
    assert raw.exists("queue:requests", "queue:foreign") == 0


def test_a_known_run_id_is_submitted_once(db: RedisDB) -> None:
    first = db.queue.submit(PARAMS, run_id="a")
    assert db.queue.submit({"num_epochs": 9}, run_id="a") == first
    assert db.queue.length("default") == 1


def test_a_known_idempotency_key_gives_its_run(db: RedisDB, raw: redis.Redis) -> None:
    first = db.queue.submit(PARAMS, idempotency_key="k" * 200)
    again = db.queue.submit(dict(reversed(PARAMS.items())), idempotency_key="k" * 200)
    assert again == first
    assert db.queue.length("default") == 1
    (key,) = raw.keys("idempotency:*")
    assert "kkk" not in key
    assert 86_000 < int(str(raw.ttl(key))) <= 86_400


def test_an_idempotency_key_refuses_another_body(db: RedisDB) -> None:
    db.queue.submit(PARAMS, idempotency_key="k")
    for params, options in (({"num_epochs": 4}, RunOptions()), (PARAMS, RunOptions(tags=("x",)))):
        with pytest.raises(Conflict, match="new key"):
            db.queue.submit(params, options, idempotency_key="k")
    assert db.queue.length("default") == 1


@pytest.mark.parametrize(
    ("params", "more"),
    [
        ({}, {}),
        ({"num_epochs": 0}, {}),
        ({"num_epochs": True}, {}),
        ({"num_epochs": "3"}, {}),
        ({"num_epochs": 3, "learning_rate": float("nan")}, {}),
        ({"num_epochs": 3, "note": "\ud800"}, {}),
        (PARAMS, {"run_id": "a b"}),
        (PARAMS, {"run_id": "-a"}),
        (PARAMS, {"run_id": "x" * 65}),
        (PARAMS, {"idempotency_key": ""}),
        (PARAMS, {"idempotency_key": "é" * 101}),
        (PARAMS, {"options": RunOptions(queue="high")}),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_is_written(
    db: RedisDB, raw: redis.Redis, params: dict[str, JsonValue], more: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput):
        db.queue.submit(params, **more)  # type: ignore[arg-type]  # wrong on purpose
    assert raw.dbsize() == 0


def test_waiting_ends_when_a_run_is_submitted(db: RedisDB, redis_url: str) -> None:
    def submit() -> None:
        with RedisDB(redis_url) as other:
            other.queue.submit(PARAMS, run_id="a")

    thread = threading.Timer(0.05, submit)
    thread.start()
    lease = db.queue.next_request(60)
    thread.join()
    assert lease is not None
    assert lease.run_id == "a"


def test_next_request_gives_none_when_nothing_comes_and_another_run_each_time(db: RedisDB) -> None:
    assert db.queue.next_request(0) is None
    assert db.queue.next_request(0.01) is None
    db.queue.submit(PARAMS, run_id="a")
    db.queue.submit(PARAMS, run_id="b")
    leases = [db.queue.next_request(0) for _ in range(3)]
    assert [lease and lease.run_id for lease in leases] == ["a", "b", None]


def test_a_bell_does_not_ring_on_for_runs_that_are_gone(db: RedisDB, raw: redis.Redis) -> None:
    for _ in range(100):
        db.queue.submit(PARAMS)
    assert raw.llen("queue:wake:default") == 64
    while db.queue.next_request(0):
        pass
    assert raw.exists("queue:wake:default") == 0


def test_a_worker_needs_a_queue(db: RedisDB) -> None:
    with pytest.raises(InvalidInput, match="queue"):
        db.queue.claim([], worker_id=WORKER, lease_s=1)
    with pytest.raises(InvalidInput, match="queue"):
        db.queue.wait([], timeout_s=1)


def test_renewing_moves_the_expiry_also_of_an_expired_lease(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    expire(raw, lease.run_id)
    db.queue.renew(lease, lease_s=60)
    assert reap(db) == []
    assert db.runs.get(lease.run_id).status is Status.RUNNING


def test_an_expired_lease_puts_the_run_in_front_of_those_that_wait(db: RedisDB, raw: redis.Redis) -> None:
    db.queue.submit(PARAMS, run_id="a")
    db.queue.submit(PARAMS, run_id="b")
    claim(db)
    expire(raw, "a")
    assert reap(db) == ["a"]
    run = db.runs.get("a")
    assert (run.status, run.worker, run.lease_losses, run.failures) == (Status.WAITING, None, 1, 0)
    (attempt,) = db.runs.list_attempts("a")
    assert (attempt.end_reason, attempt.ended_at is not None) == ("lease_lost", True)
    assert raw.exists("queue:leases", "queue:holders") == 0
    next_lease = claim(db, worker_id="other")
    assert (next_lease.run_id, next_lease.attempt, next_lease.run.status_reason) == ("a", 2, None)


def test_nothing_is_reaped_while_redis_has_just_started(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    expire(raw, lease.run_id)
    assert db.queue.requeue_expired(grace_s=10_000_000) == []
    assert reap(db) == [lease.run_id]


def test_no_more_than_the_limit_is_reaped_at_once(db: RedisDB, raw: redis.Redis) -> None:
    for number in range(5):
        expire(raw, running(db, worker_id=f"w{number}").run_id)
    assert [len(db.queue.requeue_expired(limit=2, grace_s=0)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_run_that_loses_too_many_leases_fails(db: RedisDB, raw: redis.Redis) -> None:
    db.queue.submit(PARAMS, run_id="a")
    for _ in range(MAX_LEASE_LOSSES):
        claim(db)
        expire(raw, "a")
        reap(db)
        assert db.runs.get("a").status is Status.WAITING
    claim(db)
    expire(raw, "a")
    reap(db)
    run = db.runs.get("a")
    assert (run.status, run.lease_losses) == (Status.FAILED, MAX_LEASE_LOSSES + 1)
    assert run.error is not None
    assert run.error.kind == "LeaseLost"
    assert run.ended_at is not None
    assert raw.exists("queue:demand", "queue:leases", "queue:holders", "queue:requests") == 0
    assert [attempt.end_reason for attempt in db.runs.list_attempts("a")] == ["lease_lost"] * 6


def test_whoever_lost_the_lease_can_write_nothing(db: RedisDB, raw: redis.Redis) -> None:
    stale = running(db)
    expire(raw, stale.run_id)
    reap(db)
    writes: list[Callable[[], object]] = [
        lambda: db.queue.renew(stale, lease_s=60),
        lambda: db.queue.release(stale, reason="stop"),
        lambda: db.queue.finish(stale, Status.DONE),
        lambda: db.queue.finish(stale, Status.FAILED),
        lambda: db.runs.record_epoch(stale, epoch(1)),
        lambda: db.runs.describe(stale, {"device": "cpu"}),
        lambda: db.log.append(stale, ["line"]),
    ]
    for state in ("waiting", "running again, by the same worker"):
        before = {key: raw.dump(key) for key in raw.scan_iter()}
        for write in writes:
            with pytest.raises(LeaseLost, match="nothing was written"):
                write()
        assert {key: raw.dump(key) for key in raw.scan_iter()} == before, state
        claim(db, queue=WORKER)


def test_a_worker_cannot_write_with_the_attempt_of_another(db: RedisDB) -> None:
    lease = running(db)
    forged = lease.model_copy(update={"worker_id": "other"})
    with pytest.raises(LeaseLost):
        db.queue.renew(forged, lease_s=60)
    db.queue.finish(lease, Status.DONE)
    with pytest.raises(LeaseLost):
        db.queue.finish(forged, Status.DONE)


def test_a_write_to_a_run_that_does_not_exist_is_refused(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    raw.flushdb()
    with pytest.raises(LeaseLost, match="does not exist"):
        db.runs.record_epoch(lease, epoch(1))
    assert raw.dbsize() == 0


def test_a_released_run_is_claimed_next_and_counts_no_failure(db: RedisDB) -> None:
    db.queue.submit(PARAMS, run_id="a")
    db.queue.submit(PARAMS, run_id="b")
    lease = claim(db)
    db.queue.release(lease, reason="the worker was stopped")
    db.queue.release(lease, reason="the worker was stopped")
    run = db.runs.get("a")
    assert (run.status, run.status_reason) == (Status.WAITING, "the worker was stopped")
    assert (run.failures, run.lease_losses, db.queue.length("default")) == (0, 0, 2)
    assert db.runs.list_attempts("a")[0].end_reason == "preempted"
    assert claim(db, worker_id="other").run_id == "a"
    db.queue.release(lease, reason="the worker was stopped")
    assert db.runs.get("a").worker == "other"


def test_a_released_urgent_run_goes_back_to_its_own_list(db: RedisDB, raw: redis.Redis) -> None:
    db.queue.submit(PARAMS, RunOptions(queue="gpu", priority="high"), run_id="a")
    raw.delete("queue:wake:gpu")
    db.queue.release(claim(db, queue="gpu"), reason="stop")
    assert raw.lrange("queue:requests:gpu:high", 0, -1) == ["a"]
    assert raw.llen("queue:wake:gpu") == 1


def test_a_run_is_finished_once(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    db.queue.finish(lease, Status.DONE)
    run = db.runs.get(lease.run_id)
    db.queue.finish(lease, Status.DONE)
    assert db.runs.get(lease.run_id) == run
    assert (run.status, run.failures, run.ended_at is not None) == (Status.DONE, 0, True)
    assert db.runs.list_attempts(lease.run_id)[0].end_reason == "done"
    assert raw.exists("queue:demand", "queue:leases", "queue:holders") == 0
    with pytest.raises(LeaseLost, match="it is done"):
        db.queue.finish(lease, Status.FAILED)


def test_a_failed_run_keeps_its_error_within_bounds(db: RedisDB) -> None:
    lease = running(db)
    error = RunError(
        kind="TrainingFailed", message="m" * 5_000 + "\ud800", traceback="x" * 20_000 + "\ud800end"
    )
    db.queue.finish(lease, Status.FAILED, reason="the loss is NaN", error=error)
    db.queue.finish(lease, Status.FAILED, reason="the loss is NaN", error=error)
    run = db.runs.get(lease.run_id)
    assert (run.status, run.failures, run.status_reason) == (Status.FAILED, 1, "the loss is NaN")
    assert run.error is not None
    assert len(run.error.message) == 4_000
    assert run.error.traceback is not None
    assert (len(run.error.traceback), run.error.traceback[-4:]) == (16_000, "?end")


def complete(raw: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if "num_epochs" not in raw:
        raise InvalidInput("num_epochs is missing")
    return {**raw, "filled_in": True}


def test_records_of_the_original_are_adopted_and_anything_else_is_rejected(
    db: RedisDB, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    record = {"iid": "old-1", "hyper_params": {"num_epochs": 2}, "status": "waiting", "in_update": []}
    bad = [
        "no json",
        "[1]",
        "{}",
        "",
        "a1:log",
        "nul\0",
        "x" * 1_000,
        "[" * 100_000,
        '{"iid": "old-2", "hyper_params": {}}',
        '{"iid": "a b", "hyper_params": {"num_epochs": 1}}',
    ]
    lease = running(db)
    db.log.append(lease, ["a stream"])
    entries: list[str | bytes] = [*bad, f"{lease.run_id}:log", b"\xff\xfe", json.dumps(record)]
    raw.lpush("queue:requests", *entries)
    db.queue.submit(PARAMS, run_id="own")
    assert claim(db, worker_id="other").run_id == "own"
    assert raw.llen("queue:foreign") == len(entries)
    assert db.queue.adopt_foreign(complete) == ["old-1"]
    assert db.queue.adopt_foreign(complete) == []
    assert raw.exists("queue:foreign") == 0
    assert raw.llen("queue:rejected") == len(entries) - 1
    assert len(caplog.records) == len(entries) - 1
    adopted = claim(db, worker_id="third")
    assert (adopted.run_id, adopted.run.hyper_params) == ("old-1", {"num_epochs": 2, "filled_in": True})


def test_the_newest_thousand_rejected_entries_are_kept(db: RedisDB, raw: redis.Redis) -> None:
    raw.rpush("queue:rejected", *map(str, range(1_000)))
    raw.lpush("queue:foreign", "newest")
    db.queue.adopt_foreign(complete)
    assert raw.llen("queue:rejected") == 1_000
    assert raw.lindex("queue:rejected", 0) == "newest"


def test_an_adoption_that_was_killed_half_way_is_finished_by_the_next(db: RedisDB, raw: redis.Redis) -> None:
    entry = json.dumps({"iid": "old-1", "hyper_params": {"num_epochs": 2}})
    raw.lpush("queue:foreign", entry)
    db.queue.submit({"num_epochs": 2}, run_id="old-1")
    assert db.queue.adopt_foreign(complete) == ["old-1"]
    assert raw.exists("queue:foreign") == 0
    assert db.queue.length("default") == 1


def test_a_prefix_separates_two_stores(db: RedisDB, redis_url: str, raw: redis.Redis) -> None:
    with RedisDB(redis_url, prefix="{wattle}:") as other:
        other.queue.submit(PARAMS, run_id="a")
        lease = claim(other)
        other.runs.record_epoch(lease, epoch(1))
        other.queue.finish(lease, Status.DONE)
        assert other.runs.list().total == 1
    assert db.runs.list().total == 0
    assert all(key.startswith("{wattle}:") for key in raw.scan_iter())
