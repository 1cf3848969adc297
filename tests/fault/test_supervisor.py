"""Several workers under one supervisor: a dead one is replaced, and all end with it."""

from __future__ import annotations

import signal

import psutil
import pytest

from redis_db import RedisDB
from schema import Status
from tests.fault.acts import has_ended, submit, wait_for
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


def pids_of(store: RedisDB) -> set[int]:
    return {worker.pid for worker in store.workers.list_live()}


def wait_for_two(store: RedisDB) -> set[int]:
    wait_until(lambda: len(pids_of(store)) == 2, timeout_s=120)
    return pids_of(store)


def test_a_dead_worker_is_replaced_and_sigterm_ends_all(store: RedisDB, programs: Programs) -> None:
    supervisor = programs.start_worker("--processes", "2")
    first = wait_for_two(store)
    assert {process.pid for process in psutil.Process(supervisor.pid).children()} == first
    victim = min(first)

    psutil.Process(victim).kill()

    wait_until(lambda: pids_of(store) - first, timeout_s=120)
    run_ids = [submit(store, "sleepy", num_epochs=1) for _ in range(4)]
    for run_id in run_ids:
        wait_for(store, run_id, Status.DONE)
    everything = psutil.Process(supervisor.pid).children(recursive=True)

    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(60) == 0
    wait_until(lambda: all(has_ended(process) for process in everything))


def test_the_supervisor_ends_when_its_workers_have(store: RedisDB, programs: Programs) -> None:
    run_ids = [submit(store, "sleepy", num_epochs=1) for _ in range(3)]
    assert programs.start_worker("--processes", "2", "--burst").wait(120) == 0
    assert {store.runs.get(run_id).status for run_id in run_ids} == {Status.DONE}


def test_workers_stop_when_their_supervisor_is_killed_and_put_their_runs_back(
    store: RedisDB, programs: Programs
) -> None:
    supervisor = programs.start_worker("--processes", "2")
    workers = [psutil.Process(pid) for pid in wait_for_two(store)]
    run_id = submit(store, "sleepy", num_epochs=10_000, epoch_s=0.1)
    wait_for(store, run_id, Status.RUNNING)

    supervisor.kill()
    supervisor.wait()

    wait_until(lambda: all(has_ended(process) for process in workers), timeout_s=60)
    run = store.runs.get(run_id)
    assert (run.status, run.lease_losses) == (Status.WAITING, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--processes", "1", "--device", "tpu"), "--device"),
        (("--gpus", "99"), "--gpus"),
        (("--gpus", "some"), "numbers such as 0,2"),
    ],
)
def test_a_supervisor_with_a_wrong_argument_ends_with_2(
    programs: Programs, arguments: tuple[str, ...], sentence: str
) -> None:
    assert programs.start("worker.py", *arguments).wait(60) == 2
    assert sentence in programs.output()
    assert "Traceback" not in programs.output()
