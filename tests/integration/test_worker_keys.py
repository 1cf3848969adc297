"""What a worker's user of Redis may do to the keys of quotas, alerts and live views: enough, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import RunOptions, Status
from schema.live import LivePoint, LiveUpdate
from schema.quotas import QuotaLimits
from store.keys import TEMPLATES
from tests.alert_parts import OPS, Inbox, add_rule, alerting, keep_house, raised
from tests.records import claim, epoch
from tests.redis_users import is_before_7, list_refused, make_user, worker_rights

READ_ALONE = {"quota_limits", "alert_rules"}
SECTIONS = ("quotas:", "alerts:", "live:", "access:")


@pytest.fixture
def admin(own_redis: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as client:
        make_user(client, "w", "p", worker_rights())
        yield client


@pytest.fixture
def worker_url(admin: redis.Redis, own_redis: RedisServer) -> str:
    return own_redis.url.replace("unix://", "unix://w:p@")


def expected(name: str, *, has_reading: bool) -> str:
    if TEMPLATES[name].startswith("access:"):
        return "nothing"
    return "reads" if name in READ_ALONE and has_reading else "writes"


def found(worker: redis.Redis, key: str) -> str:
    """What the user may do to a key, by commands for a key of any type."""
    may = "nothing"
    for right, command in (("reads", "EXISTS"), ("writes", "PERSIST")):
        try:
            worker.execute_command(command, key)
        except redis.exceptions.NoPermissionError:
            return may
        may = right
    return may


def test_a_worker_reads_limits_and_rules_and_writes_only_what_it_counts_raises_and_shows(
    admin: redis.Redis, worker_url: str
) -> None:
    names = [name for name, template in TEMPLATES.items() if template.startswith(SECTIONS)]
    assert names
    has_reading = not is_before_7(admin)
    with redis.Redis.from_url(worker_url) as worker:
        may = {name: found(worker, re.sub("<[a-z_]+>", "abc", TEMPLATES[name])) for name in names}
    assert may == {name: expected(name, has_reading=has_reading) for name in names}


def test_a_worker_keeps_quotas_raises_alerts_and_feeds_the_live_view_with_these_rights(
    own_redis: RedisServer, admin: redis.Redis, worker_url: str
) -> None:
    inbox = Inbox()
    with RedisDB(own_redis.url) as backend, RedisDB(worker_url) as worker:
        backend.quotas.put("project", "vision", QuotaLimits(running_runs=1, energy_wh=5000))
        add_rule(backend, {"kind": "run_finished"}, channels=("ops",))
        for _ in range(2):
            backend.queue.submit({"num_epochs": 1}, RunOptions(project="vision"))
        admin.execute_command("ACL", "LOG", "RESET")

        lease = claim(worker)
        assert worker.queue.claim(["default"], worker_id="w-2", lease_s=60) is None
        worker.runs.record_epoch(lease, epoch(1, energy_kwh=0.25))
        backend.live.watch([lease.run_id], ttl_s=60)
        assert worker.live.is_watched(lease.run_id)
        assert worker.live.update(lease.run_id, LiveUpdate(points=(LivePoint(1, 0.5),))).accepted == 1
        worker.queue.finish(lease, Status.DONE)
        keep_house(admin, worker, alerting(worker, inbox, **OPS))

        used = backend.quotas.get("project", "vision").used
        assert (used.running_runs, used.waiting_runs, used.energy_wh) == (0, 1, 250)
        assert [alert.run_id for alert in raised(backend)] == [lease.run_id]
        assert [channel for channel, _ in inbox.told] == ["ops"]
    assert list_refused(admin) == set()
