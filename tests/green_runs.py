"""Runs that follow the grid, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import redis

from redis_db import RedisDB
from schema import CarbonOptions, Lease, Run, RunError, RunOptions
from tests.records import claim, plan

PARAMS = {"num_epochs": 3}
GREEN = RunOptions(carbon=CarbonOptions())
EAST_OR_WEST = RunOptions(carbon=CarbonOptions(zones=("DE", "US-CA")))
LATER = datetime(2100, 1, 1, tzinfo=UTC)
PAST = datetime(2026, 1, 1, tzinfo=UTC)
RETRYABLE = RunError(kind="OSError", message="the disk is full", is_retryable=True)


def submit(db: RedisDB, start_at: datetime = PAST, options: RunOptions = GREEN, **changes: Any) -> Run:
    """Submit the run "a" with a plan."""
    return db.queue.submit(PARAMS, options, run_id="a", plan=plan(start_at, **changes))


def start(db: RedisDB, options: RunOptions = GREEN) -> tuple[Lease, Run]:
    """Submit a run and let a worker have it."""
    submit(db, options=options)
    lease = claim(db, queue="zone-de" if options.carbon and options.carbon.zones else options.queue)
    return lease, db.runs.get("a")


def postpone(db: RedisDB, run: Run, start_at: datetime = LATER, **changes: Any) -> Run:
    """Postpone a run that may be."""
    postponed = db.carbon.postpone(run, plan(start_at, **changes))
    assert postponed is not None
    return postponed


def planned(raw: redis.Redis) -> dict[str, float | None]:
    """Return which runs are planned again, and when."""
    return {
        run_id: raw.zscore("queue:carbon", run_id) for run_id in map(str, raw.zrange("queue:carbon", 0, -1))
    }


def everything(raw: redis.Redis) -> dict[str, object]:
    """Return all that is stored. A dump of a large hash would be in no order."""
    return {key: raw.hgetall(key) if raw.type(key) == "hash" else raw.dump(key) for key in raw.scan_iter()}


def log_of(db: RedisDB) -> list[str]:
    """Return the lines of the run's log."""
    return [line.text for line in db.log.list("a")]
