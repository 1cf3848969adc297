"""A run that follows the grid is stopped in a dirty hour and goes on in a clean one, whatever is lost."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime

import pytest

from redis_db import RedisDB
from schema import CarbonOptions, Status
from tests.fault.acts import epochs_of, reasons_of, submit, wait_for
from tests.fault.lossy import LossyDoor
from tests.programs import Programs, wait_until
from tests.records import plan

pytestmark = pytest.mark.slow
LATER = datetime(2100, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# The workers' own planner leaves it alone.
TO_WAIT = plan(LATER, next_at=LATER)


def start_and_postpone(store: RedisDB, run_id: str) -> None:
    """Postpone a run once its worker has recorded an epoch."""
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    assert store.carbon.postpone(store.runs.get(run_id), TO_WAIT)


def test_a_postponed_run_gives_its_worker_back_and_goes_on_where_it_was(
    store: RedisDB, programs: Programs
) -> None:
    run_id = submit(store, "saving", num_epochs=30, epoch_s=0.1, carbon=CarbonOptions())
    programs.start_worker()
    start_and_postpone(store, run_id)
    stopped = wait_for(store, run_id, Status.DEFERRED)
    assert (stopped.due_at, stopped.status_reason) == (LATER, TO_WAIT.reason)
    assert wait_for(store, submit(store, "sleepy"), Status.DONE).attempt == 1

    assert store.carbon.replan(store.runs.get(run_id), plan(NOW, next_at=LATER))
    run = wait_for(store, run_id, Status.DONE)

    assert (run.attempt, run.failures, run.lease_losses) == (2, 0, 0)
    assert reasons_of(store, run_id) == ["postponed", "done"]
    assert epochs_of(store, run_id) == list(range(1, 31))
    assert {result.attempt for result in store.runs.list_epochs(run_id)} == {1, 2}


def test_a_postponed_run_whose_worker_is_killed_stays_deferred(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "stubborn", num_epochs=10_000, epoch_s=0.1, carbon=CarbonOptions())
    worker = programs.start_worker(lease_s=1.0)
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    os.kill(worker.pid, signal.SIGSTOP)
    assert store.carbon.postpone(store.runs.get(run_id), TO_WAIT)
    worker.kill()
    programs.start_worker(lease_s=1.0)

    run = wait_for(store, run_id, Status.DEFERRED)

    assert (run.attempt, run.lease_losses, run.due_at) == (1, 1, LATER)
    assert (run.request, run.is_postponed) == (None, False)


def test_a_lost_reply_to_the_release_of_a_postponed_run_costs_nothing(
    store: RedisDB, programs: Programs, door: LossyDoor
) -> None:
    worker = programs.start_worker(redis_url=door.url)
    # With a run that is released, every script is known to the server.
    first = submit(store, "saving", num_epochs=30, epoch_s=0.1)
    wait_until(lambda: epochs_of(store, first), timeout_s=60)
    store.controls.pause(first)
    wait_for(store, first, Status.PAUSED)
    door.lose_reply_of("release")
    run_id = submit(store, "saving", num_epochs=30, epoch_s=0.1, carbon=CarbonOptions())
    start_and_postpone(store, run_id)

    run = wait_for(store, run_id, Status.DEFERRED)
    assert wait_for(store, submit(store, "sleepy"), Status.DONE).attempt == 1

    assert door.lost == 1
    assert store.runs.get(run_id) == run
    assert reasons_of(store, run_id) == ["postponed"]
    assert "lease lost" not in programs.output()
    assert worker.poll() is None
