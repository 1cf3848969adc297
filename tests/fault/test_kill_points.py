"""A run loses nothing, whoever is killed and when: its worker, its training child, or both."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from redis_db import RedisDB
from schema import Status
from tests.fault.acts import child_of, epochs_of, reasons_of, submit, wait_for
from tests.programs import Programs, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NUM_EPOCHS = 3
WhenToKill = Callable[[RedisDB, str, Path], None]


def after_claim(store: RedisDB, run_id: str, data_dir: Path) -> None:
    wait_for(store, run_id, Status.RUNNING)


def mid_epoch(store: RedisDB, run_id: str, data_dir: Path) -> None:
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)


def while_saving(store: RedisDB, run_id: str, data_dir: Path) -> None:
    folder = data_dir / "checkpoints" / run_id

    def is_half_there() -> bool:
        steps = list(folder.glob("step-*"))
        return any((step / "state.safetensors").exists() > (step / "state.json").exists() for step in steps)

    wait_until(is_half_there, timeout_s=60)


def before_finish(store: RedisDB, run_id: str, data_dir: Path) -> None:
    wait_until(lambda: epochs_of(store, run_id) == [1, 2, 3], timeout_s=60)


POINTS: list[WhenToKill] = [after_claim, mid_epoch, while_saving, before_finish]


def start(programs: Programs, data_dir: Path) -> subprocess.Popen[bytes]:
    return programs.start_worker(
        lease_s=0.5,
        checkpoint_url=f"slowstates://{data_dir / 'checkpoints'}",
        environment={"TEST_STATE_S": "0.3"},
    )


def kill(worker: subprocess.Popen[bytes], victim: str) -> None:
    """Kill it as nobody could prevent; of both, neither lives to see the other die."""
    parent = psutil.Process(worker.pid)
    if victim == "parent":
        parent.kill()
        worker.wait()
        return
    child = child_of(worker)
    if victim == "child":
        child.kill()
        return
    parent.suspend()
    child.kill()
    parent.kill()
    worker.wait()


@pytest.mark.parametrize("victim", ["parent", "child", "both"])
def test_a_run_whose_worker_or_child_is_killed_at_any_point_is_recorded_once(
    store: RedisDB, programs: Programs, tmp_path: Path, victim: str
) -> None:
    data_dir = tmp_path / "data"
    worker = start(programs, data_dir)
    for point in POINTS:
        (data_dir / "hold").touch()
        run_id = submit(store, "saving", num_epochs=NUM_EPOCHS, epoch_s=0.3)
        point(store, run_id, data_dir)
        kill(worker, victim)
        (data_dir / "hold").unlink()
        if victim == "child":
            wait_for(store, run_id, Status.DEFERRED)
            store.controls.resume(run_id)  # its back-off is the store's to test
        else:
            worker = start(programs, data_dir)

        run = wait_for(store, run_id, Status.DONE)
        assert epochs_of(store, run_id) == [1, 2, 3], point
        losses = (run.failures, run.lease_losses)
        assert losses == ((1, 0) if victim == "child" else (0, 1)), point
        first = "failed" if victim == "child" else "lease_lost"
        assert reasons_of(store, run_id) == [first, "done"], point
    assert worker.poll() is None
