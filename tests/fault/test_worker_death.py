"""A killed worker costs at most one lease; whatever a trainer does, the worker lives on."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.fault.acts import epochs_of, forkserver_of, submit, wait_for
from tests.programs import PLUGIN, ROOT, Programs, wait_until

pytestmark = pytest.mark.slow


def test_the_run_of_a_killed_worker_is_finished_by_the_next(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "sleepy", num_epochs=5, epoch_s=0.3)
    victim = programs.start_worker(lease_s=0.5)
    wait_until(lambda: epochs_of(store, run_id))

    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert store.runs.get(run_id).status is Status.RUNNING
    programs.start_worker(lease_s=0.5)

    run = wait_for(store, run_id, Status.DONE)
    assert run.attempt == 2
    assert run.lease_losses == 1
    assert epochs_of(store, run_id) == [1, 2, 3, 4, 5]
    assert {result.attempt for result in store.runs.list_epochs(run_id)} == {2}
    assert [attempt.end_reason for attempt in store.runs.list_attempts(run_id)] == ["lease_lost", "done"]


def test_the_child_of_a_killed_worker_dies_with_it(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "stubborn", num_epochs=100, epoch_s=0.1)
    victim = programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id))
    descendants = psutil.Process(victim.pid).children(recursive=True)
    assert len(descendants) >= 2  # the forkserver and the child

    victim.send_signal(signal.SIGKILL)
    victim.wait()

    _, alive = psutil.wait_procs(descendants, timeout=60)
    assert not alive


def test_two_workers_share_the_queue_and_no_run_is_trained_twice(store: RedisDB, programs: Programs) -> None:
    run_ids = [submit(store, "sleepy", num_epochs=2) for _ in range(12)]
    programs.start_worker("--burst")
    programs.start_worker("--burst")

    for run_id in run_ids:
        run = wait_for(store, run_id, Status.DONE)
        assert (run.attempt, epochs_of(store, run_id)) == (1, [1, 2])


def test_a_failing_run_keeps_its_traceback_and_the_worker_takes_the_next(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    failing, dying, poisoned = (
        submit(store, trainer, max_failures=0) for trainer in ("raising", "dying", "nonsense")
    )
    good = submit(store, "sleepy")
    worker = programs.start_worker("--burst")
    assert worker.wait(60) == 0

    error = store.runs.get(failing).error
    assert error is not None
    assert (error.kind, error.message) == ("ValueError", "the second epoch went wrong")
    assert 'raise ValueError("the second epoch went wrong")' in (error.traceback or "")
    assert epochs_of(store, failing) == [1]
    assert "about to fail" in [line.text for line in store.log.list(failing)]

    error = store.runs.get(dying).error
    assert error is not None
    assert "SIGKILL" in error.message
    assert "memory" in error.message
    error = store.runs.get(poisoned).error
    assert error is not None
    assert "nonsense" in error.message
    assert {store.runs.get(run_id).status for run_id in (failing, dying, poisoned)} == {Status.FAILED}

    assert store.runs.get(good).status is Status.DONE
    log_file = (tmp_path / "data" / "results" / f"job_{good}.log").read_text()
    assert log_file.count("epoch ") == 5


def test_a_trainer_that_lies_about_an_epoch_fails_and_the_worker_lives(
    store: RedisDB, programs: Programs
) -> None:
    lying, good = submit(store, "lying", max_failures=0), submit(store, "sleepy")
    assert programs.start_worker("--burst").wait(60) == 0

    error = store.runs.get(lying).error
    assert error is not None
    assert "test_accuracy" in error.message
    assert store.runs.get(good).status is Status.DONE


def test_a_log_file_that_cannot_be_written_costs_no_run(
    store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "results").write_text("in the way")
    run_id = submit(store, "sleepy")
    assert programs.start_worker("--burst").wait(60) == 0

    assert store.runs.get(run_id).status is Status.DONE
    assert len([line for line in store.log.list(run_id) if line.text.startswith("epoch ")]) == 5
    assert "log file cannot be opened" in programs.output()


def test_a_dead_forkserver_costs_an_idle_worker_nothing(store: RedisDB, programs: Programs) -> None:
    worker = programs.start_worker()
    wait_until(store.workers.list_live)
    forkserver_of(worker).kill()

    run = wait_for(store, submit(store, "sleepy"), Status.DONE)

    assert (run.attempt, worker.poll()) == (1, None)


def test_a_forkserver_that_dies_in_mid_run_puts_the_run_back(store: RedisDB, programs: Programs) -> None:
    run_id = submit(store, "sleepy", num_epochs=4, epoch_s=0.3)
    worker = programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id))
    forkserver_of(worker).kill()

    run = wait_for(store, run_id, Status.DONE)

    assert (run.attempt, run.failures, run.lease_losses) == (2, 0, 0)
    assert epochs_of(store, run_id) == [1, 2, 3, 4]
    assert worker.poll() is None


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_redis_that_hangs_does_not_hold_a_stopping_worker(
    store: RedisDB, programs: Programs, durable_redis: RedisServer, is_busy: bool
) -> None:
    worker = programs.start_worker()
    wait_until(store.workers.list_live)
    if is_busy:
        run_id = submit(store, "sleepy", num_epochs=100, epoch_s=0.2)
        wait_until(lambda: epochs_of(store, run_id))
    assert durable_redis.process is not None
    durable_redis.process.send_signal(signal.SIGSTOP)
    try:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        durable_redis.process.send_signal(signal.SIGCONT)


def test_a_worker_without_torch_puts_a_run_that_needs_it_back_and_ends(
    store: RedisDB, programs: Programs
) -> None:
    simulated = store.queue.submit({"trainer": "demo", "num_epochs": 1, "simulated": True}).run_id
    trained = store.queue.submit({"trainer": "cnn", "num_epochs": 1}).run_id
    hidden = os.pathsep.join([str(PLUGIN), str(ROOT / "tests" / "without_torch")])

    worker = programs.start_worker(environment={"PYTHONPATH": hidden})

    assert worker.wait(60) == 2
    assert "needs torch" in programs.output()
    assert store.runs.get(simulated).status is Status.DONE
    run = store.runs.get(trained)
    assert (run.status, run.failures, run.lease_losses) == (Status.WAITING, 0, 0)


@pytest.mark.parametrize("arguments", [("--queues", "High"), ("--queues", ","), ("--device", "tpu")])
def test_a_wrong_argument_is_a_sentence_and_exit_code_2(
    programs: Programs, arguments: tuple[str, str]
) -> None:
    # No Redis is needed to see that.
    assert programs.start("worker.py", *arguments, redis_url="redis://127.0.0.1:1").wait(60) == 2
    assert "Traceback" not in programs.output()
    assert re.search(r"^worker(\.py)?: ", programs.output(), flags=re.MULTILINE)


@pytest.mark.parametrize("trainer", ["sleepy", "stubborn"])
def test_sigterm_puts_the_run_back_and_ends_with_0(store: RedisDB, programs: Programs, trainer: str) -> None:
    run_id = submit(store, trainer, num_epochs=100, epoch_s=0.2)
    later = submit(store, "sleepy")
    worker = programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id))

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0  # who never looks has 10 s
    run = store.runs.get(run_id)
    assert (run.status, run.failures, run.lease_losses) == (Status.WAITING, 0, 0)
    assert store.runs.list_attempts(run_id)[0].end_reason == "preempted"
    lease = store.queue.claim(["default"], worker_id="next", lease_s=5)
    assert lease is not None
    assert lease.run_id == run_id != later
    assert store.workers.list_live() == []
