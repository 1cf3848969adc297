"""Heartbeats and locks, which expire by themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import redis

from redis_db import RedisDB
from schema import GpuState, Worker

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
)


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


def test_a_worker_that_stopped_beating_is_forgotten(db: RedisDB, raw: redis.Redis) -> None:
    db.workers.beat(WORKER, ttl_s=60)
    assert 59_000 < int(str(raw.pttl("worker:w-1"))) <= 60_000
    raw.delete("worker:w-1")
    assert db.workers.list_live() == []
    raw.zadd("workers", {"w-1": 1})
    db.workers.beat(WORKER.model_copy(update={"worker_id": "w-2"}), ttl_s=60)
    assert raw.zrange("workers", 0, -1) == ["w-2"]


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
