"""How busy the host of a run was over time: bounded, fenced, safe to repeat, a metric like any other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import redis

from errors import LeaseLost, NotFound
from redis_db import RedisDB, Span
from schema import Status, UsagePoint
from store.usage import MAX_POINTS
from tests.acted_run import ActedRun
from tests.records import running

START = datetime(2126, 1, 1, 12, tzinfo=UTC)
NAMES = (
    *("cpu_percent", "process_cpu_percent", "memory_percent", "process_memory_mib", "disk_percent"),
    *("disk_read_mib_per_s", "disk_write_mib_per_s", "network_sent_mib_per_s", "network_received_mib_per_s"),
    *("gpu0_percent", "gpu0_memory_mib", "gpu0_temperature_c", "gpu0_power_w"),
)


def point(second: float, **values: float) -> UsagePoint:
    return UsagePoint(at=START + timedelta(seconds=second), values=values)


def test_points_come_back_in_their_order(db: RedisDB) -> None:
    lease = running(db)
    points = (point(5, cpu_percent=20.5, gpu0_percent=0), point(10, cpu_percent=21))
    assert db.usage.append(lease, points[:1], interval_s=5) == 5
    assert db.usage.append(lease, points[1:], interval_s=5) == 5
    assert db.usage.list(lease.run_id) == points
    assert db.usage.list("another") == ()


def test_a_later_attempt_on_another_host_may_know_more(db: RedisDB) -> None:
    lease = running(db)
    points = (point(5, cpu_percent=20), point(10, a=-0.5, cpu_percent=21, gpu0_percent=99), point(15, a=1))
    for one in points:
        db.usage.append(lease, [one], interval_s=5)
    assert db.usage.list(lease.run_id) == points


def test_points_that_are_sent_twice_are_kept_once(db: RedisDB) -> None:
    lease = running(db)
    points = (point(5, cpu_percent=20), point(10, cpu_percent=21))
    for _ in range(2):
        db.usage.append(lease, points, interval_s=5)
    assert db.usage.list(lease.run_id) == points


def test_a_full_series_halves_keeps_its_mean_and_stays_small(db: RedisDB, raw: redis.Redis) -> None:
    lease = running(db)
    interval_s, second, most_bytes = 5.0, 0.0, 0
    while second < 3600:
        second += interval_s
        values = dict.fromkeys(NAMES, 1234.5 + second % 7) | {"cpu_percent": second / 5 % 2}
        interval_s = db.usage.append(lease, [point(second, **values)], interval_s=interval_s)
        most_bytes = max(most_bytes, raw.memory_usage(f"run:{lease.run_id}:usage", samples=0) or 0)
    kept = db.usage.list(lease.run_id)
    assert MAX_POINTS / 2 <= len(kept) < MAX_POINTS
    assert {(after.at - before.at).total_seconds() for before, after in pairwise(kept)} == {interval_s}
    assert interval_s == 80
    assert {one.values["cpu_percent"] for one in kept[:5]} == {0.5}
    assert all(set(one.values) == set(NAMES) for one in kept)
    # All that there is of a host with a GPU; without one it is two thirds.
    assert most_bytes < 10 * 1024


def test_who_does_not_hold_the_run_writes_no_usage(db: RedisDB) -> None:
    lease = running(db)
    with pytest.raises(LeaseLost):
        db.usage.append(lease.model_copy(update={"attempt": 2}), [point(1, cpu_percent=1)], interval_s=5)
    assert db.usage.list(lease.run_id) == ()


def test_usage_is_a_metric_of_its_run_and_goes_with_it(db: RedisDB, raw: redis.Redis) -> None:
    acted = ActedRun(db)
    acted.record(2)
    run = db.runs.get(acted.run_id)
    assert run.started_at is not None
    at = [run.started_at + timedelta(seconds=seconds) for seconds in (5, 10)]
    points = [UsagePoint(at=time, values={"cpu_percent": 50 + place}) for place, time in enumerate(at)]
    db.usage.append(acted.lease, points, interval_s=5)
    known = {metric.name: metric for metric in db.metrics.list(run)}
    assert list(known) == sorted(known)
    assert (known["system/cpu_percent"].count, known["system/cpu_percent"].last_value) == (2, 51)
    read = db.metrics.read(run, ["system/cpu_percent", "train_loss"], Span())
    assert read["system/cpu_percent"].values == [50, 51]
    assert read["system/cpu_percent"].steps == [5, 10]
    assert read["train_loss"].steps == [1, 2]
    with pytest.raises(NotFound):
        db.metrics.read(run, ["system/gpu0_percent"], Span())
    db.queue.finish(acted.lease, Status.DONE)
    db.controls.delete(acted.run_id)
    assert not raw.keys(f"run:{acted.run_id}*")
