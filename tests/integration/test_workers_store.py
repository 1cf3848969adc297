"""Heartbeats and locks, which expire by themselves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pytest
import redis

from carbon_aware_trainer.records import GpuFacts
from errors import NotFound
from redis_db import RedisDB
from schema import GpuState, Status, Worker
from store.address import parse_address
from store.connection import Connection
from store.keys import Keys
from store.workers import MANY, RECENT_S, Workers
from tests.records import running

WORKER = Worker(
    worker_id="w-1",
    name="größer",
    host="host",
    pid=42,
    device="cuda:0",
    threads=2,
    queues=("default", "gpu"),
    started_at=datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC),
    seen_at=datetime(2000, 1, 1, tzinfo=UTC),
    energy_source="NVML, measured",
    power_w=312.5,
    gpu=GpuState(name="größer", memory_used_bytes=3 * 2**30, utilisation=0.42, power_limit_w=700),
    # As a worker takes over what the driver says.
    other_gpus=(GpuState(**asdict(GpuFacts(name="größer", utilisation=0.9, uuid="GPU-b", index=1))),),
)


def test_an_attempt_says_where_its_worker_was(db: RedisDB) -> None:
    db.workers.beat(WORKER.model_copy(update={"zone": "DE"}), ttl_s=15)
    lease = running(db, worker_id=WORKER.worker_id)
    db.workers.remove(WORKER.worker_id)
    db.queue.finish(lease, Status.DONE)
    silent = running(db, worker_id="silent")
    (attempt,) = db.runs.list_attempts(lease.run_id)
    assert (attempt.host, attempt.zone, attempt.end_reason) == (WORKER.host, "DE", "done")
    (attempt,) = db.runs.list_attempts(silent.run_id)
    assert (attempt.host, attempt.zone) == (None, None)


def test_a_live_worker_is_listed_as_it_described_itself(db: RedisDB) -> None:
    db.workers.beat(WORKER, ttl_s=60)
    (found,) = db.workers.list_live()
    assert found.model_copy(update={"seen_at": WORKER.seen_at}) == WORKER
    assert abs((db.now() - found.seen_at).total_seconds()) < 5


def test_a_beat_replaces_the_last_one(db: RedisDB) -> None:
    db.workers.beat(WORKER.model_copy(update={"run_id": "a"}), ttl_s=60)
    db.workers.beat(WORKER, ttl_s=60)
    (found,) = db.workers.list_live()
    assert found.run_id is None


def stop_beating(db: RedisDB, raw: redis.Redis, worker_id: str, ago_s: float = 5) -> float:
    """Wind the clock of a heartbeat forward; returns when it expired."""
    gone_s = db.now().timestamp() - ago_s
    raw.zadd("workers", {worker_id: gone_s})
    return gone_s


def test_a_worker_that_stopped_beating_is_gone_and_can_be_seen_for_a_day(
    db: RedisDB, raw: redis.Redis
) -> None:
    db.workers.beat(WORKER.model_copy(update={"run_id": "a", "epoch": 3}), ttl_s=60)
    assert 86_400_000 + 59_000 < int(str(raw.pttl("worker:w-1"))) <= 86_400_000 + 60_000
    gone_s = stop_beating(db, raw, "w-1")
    assert db.workers.list_live() == []
    db.workers.beat(WORKER.model_copy(update={"worker_id": "w-2"}), ttl_s=60)
    db.workers.remove("w-2")
    (gone,) = db.workers.list_known()
    assert gone.gone_at is not None
    assert abs(gone.gone_at.timestamp() - gone_s) < 0.001
    assert (gone.run_id, gone.epoch) == ("a", 3)
    db.workers.beat(WORKER, ttl_s=60)
    (back,) = db.workers.list_known()
    assert (back.gone_at, back.run_id) == (None, None)


def test_a_worker_that_is_gone_for_more_than_a_day_is_forgotten(db: RedisDB, raw: redis.Redis) -> None:
    db.workers.beat(WORKER, ttl_s=60)
    stop_beating(db, raw, "w-1", ago_s=86_401)
    db.workers.beat(WORKER.model_copy(update={"worker_id": "w-2"}), ttl_s=60)
    assert raw.zrange("workers", 0, -1) == ["w-2"]
    raw.delete("worker:w-2")
    assert db.workers.list_known() == []


def test_a_worker_learns_with_its_beat_that_it_should_drain(db: RedisDB) -> None:
    assert not db.workers.beat(WORKER, ttl_s=60)
    db.workers.set_draining("w-1", True)
    assert [worker.is_draining for worker in db.workers.list_live()] == [True]
    assert [db.workers.beat(WORKER, ttl_s=60) for _ in range(2)] == [True, True]
    assert [worker.is_draining for worker in db.workers.list_live()] == [True]
    db.workers.set_draining("w-1", False)
    assert not db.workers.beat(WORKER, ttl_s=60)
    assert [worker.is_draining for worker in db.workers.list_live()] == [False]


def test_a_worker_that_drains_of_itself_is_shown_so(db: RedisDB) -> None:
    assert not db.workers.beat(WORKER.model_copy(update={"is_draining": True}), ttl_s=60)
    assert [worker.is_draining for worker in db.workers.list_live()] == [True]


def test_nobody_who_is_gone_can_be_asked_to_drain(db: RedisDB, raw: redis.Redis) -> None:
    with pytest.raises(NotFound, match="nobody"):
        db.workers.set_draining("nobody", True)
    db.workers.beat(WORKER, ttl_s=60)
    stop_beating(db, raw, "w-1")
    with pytest.raises(NotFound, match="live worker"):
        db.workers.set_draining("w-1", True)
    assert not db.workers.beat(WORKER, ttl_s=60)
    db.workers.remove("w-1")
    with pytest.raises(NotFound):
        db.workers.set_draining("w-1", True)
    assert raw.exists("worker:w-1", "workers") == 0


def test_a_worker_that_leaves_is_gone_at_once(db: RedisDB, raw: redis.Redis) -> None:
    db.workers.beat(WORKER, ttl_s=60)
    db.workers.remove("w-1")
    db.workers.remove("w-1")
    assert db.workers.list_live() == []
    assert raw.dbsize() == 0


def test_a_lock_is_held_by_one_until_it_expires(db: RedisDB, raw: redis.Redis) -> None:
    assert db.locks.acquire("reap", ttl_s=60)
    assert not db.locks.acquire("reap", ttl_s=60)
    assert db.locks.acquire("archive", ttl_s=60)
    assert 59_000 < int(str(raw.pttl("lock:reap"))) <= 60_000
    raw.delete("lock:reap")
    assert db.locks.acquire("reap", ttl_s=0)


def test_workers_that_died_long_ago_are_not_read_with_the_live_ones(
    db: RedisDB, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        db.workers.beat(WORKER.model_copy(update={"worker_id": f"w-{number}"}), ttl_s=60)
    now_s = db.now().timestamp()
    raw.zadd("workers", {f"w-{number}": now_s - 10 * number for number in (1, 2, 3)})
    raw.hset("worker:w-3", "threads", "many")  # reading it would warn

    assert [worker.worker_id for worker in db.workers.list_live()] == ["w-0"]
    assert [worker.worker_id for worker in db.workers.list_known(max_gone=2)] == ["w-0", "w-1", "w-2"]
    assert not caplog.records


@pytest.mark.one_server
@pytest.mark.parametrize(("live", "is_remembered"), [(3, False), (MANY + 1, True)])
def test_of_many_workers_a_second_old_list_will_do_and_of_few_it_will_not(
    db: RedisDB, redis_url: str, live: int, is_remembered: bool
) -> None:
    now_s = 100.0
    keys = Keys()
    connection = Connection(parse_address(redis_url, None), key_formats=keys.formats, newest_layout=1)
    workers = Workers(connection, keys, clock=lambda: now_s)
    for number in range(live):
        db.workers.beat(WORKER.model_copy(update={"worker_id": f"w-{number}"}), ttl_s=60)
    assert len(workers.list_recent()) == live

    db.workers.remove("w-0")

    now_s += RECENT_S - 0.01
    assert len(workers.list_recent()) == (live if is_remembered else live - 1)
    now_s += 0.02
    assert len(workers.list_recent()) == live - 1
    connection.close()
