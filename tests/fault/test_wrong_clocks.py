"""The clock is that of Redis: a host whose own is an hour wrong neither takes nor keeps what is another's."""

from __future__ import annotations

import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from redis_db import RedisDB
from schema import RunOptions, Status
from tests.programs import PLUGIN, Programs, wait_until

pytestmark = pytest.mark.slow

# Housekeeping is done by whoever comes first, which is who has the shorter lease.
LEASE_OF_WRONG_S, LEASE_OF_RIGHT_S = 1.2, 3.0
CLOCK = Path(__file__).parent / "clock"


def start_worker(
    programs: Programs, *, error_s: float, queue: str, lease_s: float
) -> subprocess.Popen[bytes]:
    return programs.start(
        "worker.py", "--device", "cpu", "--threads", "1", "--queues", queue,
        environment={"PYTHONPATH": f"{CLOCK}:{PLUGIN}", "CLOCK_ERROR_S": str(error_s)},
        lease_s=lease_s,
    )  # fmt: skip


def submit(store: RedisDB, run_id: str, queue: str, num_epochs: int) -> str:
    params: dict[str, JsonValue] = {
        "trainer": "sleepy", "num_epochs": num_epochs, "epoch_s": 0.25, "seed": 0,
    }  # fmt: skip
    return store.queue.submit(params, RunOptions(queue=queue), run_id=run_id).run_id


def epochs_of(store: RedisDB, run_id: str) -> list[int]:
    return [result.epoch for result in store.runs.list_epochs(run_id)]


@pytest.mark.parametrize("error_s", [3600.0, -3600.0])
def test_a_worker_whose_clock_is_an_hour_wrong_takes_no_run_and_keeps_none_for_longer(
    error_s: float, store: RedisDB, programs: Programs
) -> None:
    wrong, right = submit(store, "wrong", "wrong", 80), submit(store, "right", "right", 16)
    victim = start_worker(programs, error_s=error_s, queue="wrong", lease_s=LEASE_OF_WRONG_S)
    start_worker(programs, error_s=0, queue="right,wrong", lease_s=LEASE_OF_RIGHT_S)
    wait_until(lambda: epochs_of(store, wrong) and epochs_of(store, right))
    errors = sorted(abs(worker.started_at - worker.seen_at) for worker in store.workers.list_live())
    assert errors[0] < timedelta(minutes=5) < timedelta(minutes=55) < errors[1], "its clock is wrong"

    # Longer than several leases, in which both renew, beat and reap.
    wait_until(lambda: store.runs.get(right).status is Status.DONE)
    for run_id in (right, wrong):
        run = store.runs.get(run_id)
        assert (run.attempt, run.lease_losses) == (1, 0)
        assert run.started_at is not None
        assert abs(run.started_at - store.now()) < timedelta(minutes=5)

    victim.send_signal(signal.SIGKILL)
    victim.wait()
    wait_until(lambda: store.runs.get(wrong).attempt == 2)
    assert store.runs.get(wrong).lease_losses == 1
