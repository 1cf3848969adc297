"""What KEDA sees of the store: it asks for the length of a list (LLEN) or the size of a set (SCARD)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from redis_db import RedisDB
from schema import RunOptions
from tests.keda import Keda
from tests.programs import wait_until

QUEUE = "gpu-a100"


@pytest.fixture
def keda(db: RedisDB, primary_url: str) -> Iterator[Keda]:
    with_queries = Keda(primary_url)
    yield with_queries
    with_queries.close()


def test_an_autoscaler_sees_runs_that_wait_run_and_are_due_and_no_others(db: RedisDB, keda: Keda) -> None:
    assert (keda.wants("ScaledObject"), keda.wants("ScaledJob")) == (0, 0)
    later = RunOptions(queue=QUEUE, start_at=db.now() + timedelta(days=1))
    db.queue.submit({"trainer": "demo", "num_epochs": 1}, later)
    paused = db.queue.submit({"trainer": "demo", "num_epochs": 1}, RunOptions(queue=QUEUE))
    db.controls.pause(paused.run_id)
    assert (keda.wants("ScaledObject"), keda.wants("ScaledJob")) == (0, 0)

    for priority in ("normal", "normal", "high"):
        db.queue.submit(
            {"trainer": "demo", "num_epochs": 1},
            RunOptions.model_validate({"queue": QUEUE, "priority": priority}),
        )
    assert (keda.wants("ScaledObject"), keda.wants("ScaledJob")) == (3, 3)


def test_a_run_that_runs_still_counts_so_that_it_is_not_scaled_away(db: RedisDB, keda: Keda) -> None:
    db.queue.submit({"trainer": "demo", "num_epochs": 1}, RunOptions(queue=QUEUE))
    lease = db.queue.claim([QUEUE], worker_id="w-1", lease_s=60)
    assert lease is not None

    assert keda.wants("ScaledObject") == 1
    # Of jobs the running one is not ended, and no second one is wanted for its run.
    assert keda.wants("ScaledJob") == 0

    db.queue.release(lease, reason="asked to stop")
    assert (keda.wants("ScaledObject"), keda.wants("ScaledJob")) == (1, 1)
    db.controls.cancel(lease.run.run_id)
    assert (keda.wants("ScaledObject"), keda.wants("ScaledJob")) == (0, 0)


def test_a_deferred_run_wakes_a_worker_from_its_time_on(db: RedisDB, keda: Keda) -> None:
    due_at = db.now() + timedelta(milliseconds=300)
    db.queue.submit({"trainer": "demo", "num_epochs": 1}, RunOptions(queue=QUEUE, start_at=due_at))
    wait_until(lambda: db.now() > due_at)
    # The backend's housekeeping does so, also with all workers scaled to zero.
    db.queue.promote_due()
    assert (keda.wants("ScaledObject"), keda.wants("ScaledJob")) == (1, 1)
