"""Accepted survives the death of Redis, and a dead Redis is not a failed run."""

from __future__ import annotations

import signal

import pytest
from pydantic import JsonValue

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import Status
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


def kill(server: RedisServer) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def test_runs_that_wait_survive_a_killed_redis(
    durable_redis: RedisServer, store: RedisDB, programs: Programs
) -> None:
    submitted = [
        store.queue.submit({"trainer": "sleepy", "num_epochs": 1, "epoch_s": 0.01, "seed": seed}).run_id
        for seed in range(20)
    ]
    kill(durable_redis)
    with pytest.raises(StoreUnavailable):
        store.queue.length()
    durable_redis.start()

    assert store.queue.length() == 20
    programs.start_worker("--burst")
    for run_id in submitted:
        wait_until(lambda run_id=run_id: store.runs.get(run_id).status is Status.DONE)  # type: ignore[misc] # bound now


def test_a_run_goes_on_while_redis_is_away(
    durable_redis: RedisServer, store: RedisDB, programs: Programs
) -> None:
    hyper_params: dict[str, JsonValue] = {"trainer": "sleepy", "num_epochs": 8, "epoch_s": 0.25, "seed": 0}
    run_id = store.queue.submit(hyper_params).run_id
    worker = programs.start_worker(lease_s=1)
    wait_until(lambda: store.runs.list_epochs(run_id))

    kill(durable_redis)
    wait_until(lambda: "Redis is away" in programs.output())
    durable_redis.start()

    wait_until(lambda: store.runs.get(run_id).status is Status.DONE)
    run = store.runs.get(run_id)
    assert (run.attempt, run.lease_losses) == (1, 0)
    assert [result.epoch for result in store.runs.list_epochs(run_id)] == list(range(1, 9))
    assert worker.poll() is None
