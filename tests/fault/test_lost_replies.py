"""A write whose reply is lost is made once: it is repeated, and the repetition changes nothing."""

from __future__ import annotations

import subprocess

import pytest

from redis_db import RedisDB
from schema import Status
from tests.fault.acts import epochs_of, reasons_of, submit, wait_for
from tests.fault.lossy import LossyDoor
from tests.programs import Programs

pytestmark = pytest.mark.slow


def start(store: RedisDB, programs: Programs, door: LossyDoor) -> subprocess.Popen[bytes]:
    """Start a worker behind the door, with every script known to the server."""
    worker = programs.start_worker(redis_url=door.url)
    wait_for(store, submit(store, "sleepy", num_epochs=1), Status.DONE)
    return worker


@pytest.mark.parametrize("script", ["record_epoch", "finish"])
def test_a_lost_reply_costs_a_run_nothing(
    store: RedisDB, programs: Programs, door: LossyDoor, script: str
) -> None:
    worker = start(store, programs, door)
    door.lose_reply_of(script)
    run_id = submit(store, "sleepy", num_epochs=3)

    run = wait_for(store, run_id, Status.DONE)
    after = submit(store, "sleepy", num_epochs=1)

    assert wait_for(store, after, Status.DONE).attempt == 1
    assert door.lost == 1
    assert (run.attempt, run.failures, run.lease_losses) == (1, 0, 0)
    assert epochs_of(store, run_id) == [1, 2, 3]
    assert reasons_of(store, run_id) == ["done"]
    assert "lease lost" not in programs.output()
    assert worker.poll() is None


def test_a_failure_whose_reply_is_lost_counts_once(
    store: RedisDB, programs: Programs, door: LossyDoor
) -> None:
    start(store, programs, door)
    wait_for(store, submit(store, "raising", max_failures=0), Status.FAILED)
    door.lose_reply_of("finish")
    run_id = submit(store, "raising", max_failures=2)

    run = wait_for(store, run_id, Status.DEFERRED)
    # The worker has gone on once it takes the next run.
    wait_for(store, submit(store, "sleepy", num_epochs=1), Status.DONE)

    assert door.lost == 1
    assert (run.attempt, store.runs.get(run_id).failures) == (1, 1)
    assert reasons_of(store, run_id) == ["failed"]
    assert "lease lost" not in programs.output()
