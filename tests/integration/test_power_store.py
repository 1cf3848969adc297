"""The power of a run over time: bounded, fenced, safe to repeat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import redis

from errors import LeaseLost
from redis_db import RedisDB
from schema import PowerPoint
from store.power import MAX_POINTS
from tests.records import running

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def point(second: float, **power_w: float) -> PowerPoint:
    return PowerPoint(at=START + timedelta(seconds=second), power_w=power_w)


def test_points_come_back_in_their_order(db: RedisDB) -> None:
    lease = running(db)
    points = (point(1, cpu=20.5, gpu=400), point(2, cpu=21))
    assert db.power.append(lease, points[:1], interval_s=1) == 1
    assert db.power.append(lease, points[1:], interval_s=1) == 1
    assert db.power.list(lease.run_id) == points
    assert db.power.list("another") == ()


def test_points_that_are_sent_twice_are_kept_once(db: RedisDB) -> None:
    lease = running(db)
    points = (point(1, cpu=20), point(2, cpu=21))
    for _ in range(2):
        db.power.append(lease, points, interval_s=1)
    assert db.power.list(lease.run_id) == points


def test_a_full_series_halves_and_keeps_its_mean(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    interval_s, second = 1.0, 0.0
    sent = []
    while second < 1000:
        second += interval_s
        sent.append(point(second, cpu=second % 7, gpu=100))
        interval_s = db.power.append(lease, sent[-1:], interval_s=interval_s)
    kept = db.power.list(lease.run_id)
    assert MAX_POINTS / 2 <= len(kept) < MAX_POINTS
    assert interval_s == 8
    steps_s = {(after.at - before.at).total_seconds() for before, after in pairwise(kept)}
    assert steps_s == {8}
    assert {one.power_w["gpu"] for one in kept} == {100}
    assert sum(one.power_w["cpu"] for one in kept) / len(kept) == pytest.approx(3, abs=0.1)
    assert (raw.memory_usage(f"run:{lease.run_id}:power", samples=0) or 0) < 16_000


def test_a_source_that_only_one_of_two_points_knows_is_left_out_of_their_mean(db: RedisDB) -> None:
    lease = running(db)
    points = [point(second, cpu=10, **({"gpu": 100.0} if second % 2 else {})) for second in range(MAX_POINTS)]
    assert db.power.append(lease, points, interval_s=1) == 2
    assert {tuple(one.power_w) for one in db.power.list(lease.run_id)} == {("cpu",)}


def test_who_does_not_hold_the_run_writes_no_power(db: RedisDB) -> None:
    lease = running(db)
    with pytest.raises(LeaseLost):
        db.power.append(lease.model_copy(update={"attempt": 2}), [point(1, cpu=1)], interval_s=1)
    assert db.power.list(lease.run_id) == ()
