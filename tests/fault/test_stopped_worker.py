"""A worker that stood still for longer than its lease has lost its run, and writes nothing more."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.fault.acts import child_of, epochs_of, has_ended, reasons_of, submit, wait_for
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


def test_the_fence_holds_against_a_worker_that_wakes_up_late(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "saving", num_epochs=25, epoch_s=0.2)
    sleeper = programs.start_worker(lease_s=0.5)
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    child = child_of(sleeper)
    sleeper.send_signal(signal.SIGSTOP)
    programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).attempt == 2, timeout_s=60)

    sleeper.send_signal(signal.SIGCONT)

    wait_until(lambda: has_ended(child))
    run = wait_for(store, run_id, Status.DONE)
    assert (run.attempt, run.failures, run.lease_losses) == (2, 0, 1)
    assert epochs_of(store, run_id) == list(range(1, 26))
    attempts = [result.attempt for result in store.runs.list_epochs(run_id)]
    assert attempts == sorted(attempts, key=lambda attempt: attempt or 0)
    assert attempts[-1] == 2
    assert reasons_of(store, run_id) == ["lease_lost", "done"]
    assert sleeper.poll() is None
    assert wait_for(store, submit(store, "sleepy"), Status.DONE).attempt == 1


def test_two_reapers_take_each_run_once(durable_redis: RedisServer, store: RedisDB) -> None:
    run_ids = [submit(store, "sleepy") for _ in range(300)]
    for run_id in run_ids:
        assert store.queue.claim(["default"], worker_id=f"dead-{run_id}", lease_s=0.01) is not None

    def reap() -> list[str]:
        taken: list[str] = []
        with RedisDB(durable_redis.url) as db:
            while db.queue.length() < len(run_ids):
                taken += db.queue.requeue_expired(limit=7, grace_s=0)
        return taken

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: reap(), range(2))

    assert sorted([*first, *second]) == sorted(run_ids)
    runs = [store.runs.get(run_id) for run_id in run_ids]
    assert {(run.status, run.lease_losses, run.attempt) for run in runs} == {(Status.WAITING, 1, 1)}
