"""What people ask of a run or its worker is done: cancel, pause, preempt, drain, signals, limits."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from redis_db import RedisDB
from schema import Status
from tests.fault.acts import child_of, epochs_of, has_ended, reasons_of, submit, wait_for
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


def start_busy(
    store: RedisDB, programs: Programs, run_id: str, *arguments: str, **settings: object
) -> subprocess.Popen[bytes]:
    """Start a worker and return it once it has recorded an epoch of the run."""
    worker = programs.start_worker(*arguments, **settings)  # type: ignore[arg-type] # settings of any kind
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    return worker


@pytest.mark.parametrize("trainer", ["sleepy", "stubborn"])
def test_a_cancelled_run_ends_and_its_worker_takes_the_next(
    store: RedisDB, programs: Programs, trainer: str
) -> None:
    run_id = submit(store, trainer, num_epochs=10_000, epoch_s=0.1)
    worker = start_busy(store, programs, run_id)
    child = child_of(worker)
    store.controls.cancel(run_id)

    run = wait_for(store, run_id, Status.CANCELLED)
    wait_until(lambda: has_ended(child))
    assert (run.failures, run.lease_losses, run.request) == (0, 0, None)
    assert reasons_of(store, run_id) == ["cancelled"]
    assert wait_for(store, submit(store, "sleepy"), Status.DONE).attempt == 1
    assert worker.poll() is None


def test_a_paused_run_gives_its_worker_back_and_goes_on_where_it_was(
    store: RedisDB, programs: Programs
) -> None:
    run_id = submit(store, "saving", num_epochs=30, epoch_s=0.1)
    start_busy(store, programs, run_id)
    store.controls.pause(run_id)
    wait_for(store, run_id, Status.PAUSED)
    assert wait_for(store, submit(store, "sleepy"), Status.DONE).attempt == 1
    assert store.runs.get(run_id).status is Status.PAUSED

    store.controls.resume(run_id)
    run = wait_for(store, run_id, Status.DONE)

    assert (run.attempt, run.failures, run.lease_losses) == (2, 0, 0)
    assert reasons_of(store, run_id) == ["paused", "done"]
    assert epochs_of(store, run_id) == list(range(1, 31))
    assert {result.attempt for result in store.runs.list_epochs(run_id)} == {1, 2}


def test_a_preempted_run_goes_back_to_the_queue(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "saving", num_epochs=20, epoch_s=0.1)
    start_busy(store, programs, run_id)
    store.controls.preempt(run_id)

    run = wait_for(store, run_id, Status.DONE)

    assert (run.attempt, run.failures, run.lease_losses) == (2, 0, 0)
    assert reasons_of(store, run_id) == ["preempted", "done"]


def test_a_worker_that_is_drained_finishes_its_run_and_ends(store: RedisDB, programs: Programs) -> None:
    run_id, later = (submit(store, "sleepy", num_epochs=10, epoch_s=0.3) for _ in range(2))
    worker = start_busy(store, programs, run_id)
    (known,) = store.workers.list_live()
    store.workers.set_draining(known.worker_id, True)

    assert worker.wait(60) == 0
    assert store.runs.get(run_id).status is Status.DONE
    assert store.runs.get(run_id).attempt == 1
    assert store.runs.get(later).status is Status.WAITING
    assert store.workers.list_live() == []


def test_a_worker_with_max_runs_ends_after_so_many(store: RedisDB, programs: Programs) -> None:
    run_ids = [submit(store, "sleepy", num_epochs=1) for _ in range(3)]
    assert programs.start_worker("--max-runs", "2").wait(60) == 0
    statuses = [store.runs.get(run_id).status for run_id in run_ids]
    assert statuses == [Status.DONE, Status.DONE, Status.WAITING]


def test_a_hung_training_is_ended_says_where_it_stood_and_is_tried_again(
    store: RedisDB, programs: Programs
) -> None:
    run_id = submit(store, "hanging", num_epochs=3)
    worker = programs.start_worker(stall_s=4)  # longer than a busy machine needs to start a child

    run = wait_for(store, run_id, Status.DEFERRED)
    assert (run.failures, run.lease_losses) == (1, 0)
    error = run.error
    assert error is not None
    assert (error.kind, error.is_retryable, error.step, error.epoch) == ("Stalled", True, 7, 2)
    assert "hang_here" in (error.traceback or "")
    assert error.host
    assert error.hint
    store.controls.resume(run_id)
    assert wait_for(store, run_id, Status.DONE).attempt == 2
    assert epochs_of(store, run_id) == [1, 2, 3]
    assert worker.poll() is None


def test_a_slow_step_is_no_hang(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "saving", num_epochs=1, epoch_s=6, step_s=2.5)
    programs.start_worker(stall_s=4)
    run = wait_for(store, run_id, Status.DONE)
    assert (run.attempt, run.failures) == (1, 0)


def test_a_run_that_takes_longer_than_its_timeout_fails_and_says_so(
    store: RedisDB, programs: Programs
) -> None:
    run_id = submit(store, "saving", num_epochs=10_000, epoch_s=0.2, timeout_s=2)
    worker = programs.start_worker()

    run = wait_for(store, run_id, Status.FAILED)
    assert run.error is not None
    assert (run.error.kind, run.error.is_retryable) == ("TimedOut", False)
    assert "timeout_s of 2 s" in run.error.message
    assert wait_for(store, submit(store, "sleepy"), Status.DONE).attempt == 1
    store.controls.retry(run_id)  # all attempts together: no time is left
    wait_until(lambda: store.runs.get(run_id).attempt == 2, timeout_s=60)
    wait_for(store, run_id, Status.FAILED)
    assert 2 not in {result.attempt for result in store.runs.list_epochs(run_id)}
    assert worker.poll() is None


@pytest.mark.parametrize("wish", ["sigterm", "preempt"])
def test_a_child_that_evaluates_is_waited_for_and_saves_while_its_lease_is_kept(
    store: RedisDB, programs: Programs, wish: str
) -> None:
    run_id = submit(store, "saving", num_epochs=3, evaluation_s=3)
    worker = programs.start_worker(lease_s=1.5)
    wait_until(lambda: "evaluates epoch 2" in [line.text for line in store.log.list(run_id)])
    assert epochs_of(store, run_id) == [1]

    if wish == "sigterm":
        worker.send_signal(signal.SIGTERM)
    else:
        store.controls.preempt(run_id)

    reaped: list[str] = []

    def has_ended_first() -> bool:
        reaped.extend(store.queue.requeue_expired(grace_s=1.5))
        return reasons_of(store, run_id)[0] is not None

    wait_until(has_ended_first)
    assert reaped == []
    assert reasons_of(store, run_id)[0] == "preempted"
    # Killed within its evaluation, it would have left the first epoch alone.
    assert {result.epoch: result.attempt for result in store.runs.list_epochs(run_id)} == {1: 1, 2: 1}
    run = store.runs.get(run_id)
    assert (run.failures, run.lease_losses) == (0, 0)
    if wish == "sigterm":
        assert worker.wait(60) == 0


def is_saving(data_dir: Path, run_id: str) -> bool:
    """Whether a checkpoint is half there."""
    steps = (data_dir / "checkpoints" / run_id).glob("step-*")
    return any((step / "state.safetensors").exists() > (step / "state.json").exists() for step in steps)


def start_saving(
    store: RedisDB, programs: Programs, data_dir: Path, *, state_s: str
) -> tuple[str, subprocess.Popen[bytes]]:
    """Start a worker whose run is saving its state, which takes long."""
    run_id = submit(store, "saving", num_epochs=3)
    worker = programs.start_worker(
        checkpoint_url=f"slowstates://{data_dir / 'checkpoints'}", environment={"TEST_STATE_S": state_s}
    )
    wait_until(lambda: is_saving(data_dir, run_id), timeout_s=60)
    return run_id, worker


def test_sigterm_waits_for_a_save_that_is_under_way(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    run_id, worker = start_saving(store, programs, tmp_path / "data", state_s="4")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert list((tmp_path / "data" / "checkpoints" / run_id).glob("step-*/state.json"))
    run = store.runs.get(run_id)
    assert (run.status, run.failures, run.lease_losses) == (Status.WAITING, 0, 0)


def test_the_second_sigterm_means_at_once(store: RedisDB, programs: Programs, tmp_path: Path) -> None:
    run_id, worker = start_saving(store, programs, tmp_path / "data", state_s="600")

    def insist() -> bool:
        # Again and again: two signals that come at once are one to the kernel.
        worker.send_signal(signal.SIGTERM)
        return worker.poll() is not None

    wait_until(insist, timeout_s=60)

    assert worker.returncode == 0
    run = store.runs.get(run_id)
    assert (run.status, run.failures, run.lease_losses) == (Status.WAITING, 0, 0)
    assert run.status_reason == "The worker was stopped at once."
