"""What a worker could not write while Redis was away is written, also when the worker died meanwhile."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.fault.acts import epochs_of, submit, wait_for
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


def kill_redis(server: RedisServer) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def spooled(data_dir: Path) -> str:
    return "".join(path.read_text() for path in (data_dir / "spool").glob("[!.]*.jsonl"))


def is_empty(data_dir: Path) -> bool:
    return not list((data_dir / "spool").iterdir())


def test_the_next_worker_writes_what_a_killed_one_could_not(
    durable_redis: RedisServer, store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    run_id = submit(store, "sleepy", num_epochs=4, epoch_s=0.3)
    victim = programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    kill_redis(durable_redis)
    wait_until(lambda: '"kind":"finish"' in spooled(data_dir), timeout_s=60)

    victim.send_signal(signal.SIGKILL)
    victim.wait()
    durable_redis.start()
    programs.start_worker()

    run = wait_for(store, run_id, Status.DONE)
    assert (run.attempt, run.lease_losses) == (1, 0)
    assert epochs_of(store, run_id) == [1, 2, 3, 4]
    texts = [line.text for line in store.log.list(run_id) if line.text.startswith("epoch ")]
    assert texts == sorted(texts)
    wait_until(lambda: is_empty(data_dir))


def test_a_worker_that_is_told_to_stop_while_redis_is_away_leaves_its_run_to_the_next(
    durable_redis: RedisServer, store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    run_id = submit(store, "saving", num_epochs=60, epoch_s=0.2)
    first = programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    kill_redis(durable_redis)
    wait_until(lambda: '"kind":"epoch"' in spooled(data_dir), timeout_s=60)

    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    durable_redis.start()
    programs.start_worker()

    # Long before the lease of 15 s has expired twice, which an outage allows: the release was in the file.
    wait_until(lambda: store.runs.get(run_id).attempt == 2, timeout_s=60)
    assert store.runs.get(run_id).lease_losses == 0
    assert store.runs.list_attempts(run_id)[0].end_reason == "preempted"
    assert {result.attempt for result in store.runs.list_epochs(run_id)} == {1}


def test_a_training_waits_neither_for_a_redis_that_hangs_nor_for_a_worker_that_waits_for_it(
    durable_redis: RedisServer, store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    """A pipe holds some 300 lines; a worker that reads between calls of 2 s takes 5,000 in a minute."""
    data_dir = tmp_path / "data"
    run_id = submit(store, "chatty", num_epochs=2)
    programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id))
    assert durable_redis.process is not None
    durable_redis.process.send_signal(signal.SIGSTOP)
    (data_dir / "speak").touch()
    wait_until((data_dir / "has-spoken").exists, timeout_s=15)
    wait_until(lambda: '"kind":"finish"' in spooled(data_dir), timeout_s=15)
    durable_redis.process.send_signal(signal.SIGCONT)

    run = wait_for(store, run_id, Status.DONE)
    assert (run.attempt, run.failures, run.lease_losses) == (1, 0, 0)
    texts = {line.text for line in store.log.list(run_id, limit=20_000)}
    assert texts >= {f"line {number}" for number in range(5_000)}


def test_a_full_disk_costs_the_spool_and_not_the_run(
    durable_redis: RedisServer, store: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    run_id = submit(store, "sleepy", num_epochs=12, epoch_s=0.2)
    worker = programs.start_worker()
    wait_until(lambda: epochs_of(store, run_id), timeout_s=60)
    kill_redis(durable_redis)
    wait_until(lambda: '"kind":"epoch"' in spooled(data_dir), timeout_s=60)
    full_bytes = len(spooled(data_dir)) + 100
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (full_bytes, full_bytes))
    wait_until(lambda: "memory alone keeps what Redis misses" in programs.output(), timeout_s=60)
    durable_redis.start()

    run = wait_for(store, run_id, Status.DONE)
    assert (run.attempt, run.lease_losses, run.failures) == (1, 0, 0)
    assert epochs_of(store, run_id) == list(range(1, 13))
    assert worker.poll() is None
    wait_until(lambda: is_empty(data_dir))
