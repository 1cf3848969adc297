"""Fixtures every test may use: a private Redis server and a store on it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from tests.monitor_memory import memory_below
from tests.scheduling import pytest_xdist_make_scheduler

__all__ = ["pytest_xdist_make_scheduler"]

# As in a worker, and before torch is imported: threads that spin while they wait turn a training of 1 s into
# one of 25 s when another process wants the cores too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Tests run side by side: threads of torch that outnumber the cores would make each of them many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How far a test of random steps goes; HYPOTHESIS_PROFILE=nightly goes ten times as far.
# How fast an example is says more about the machine than about the code.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steps", _patient, stateful_step_count=200)
settings.register_profile("nightly", _patient, stateful_step_count=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steps"))


@pytest.fixture(scope="session", autouse=True)
def _no_memory_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The SDK's shared memory outlives who is killed; a test that kills gives it back."""
    yield
    left = memory_below(tmp_path_factory.getbasetemp())
    for memory in left:
        memory.unlink(missing_ok=True)
    assert left == []


def start_redis(server: RedisServer) -> RedisServer:
    """Start it; where there is no Redis at all, skip at home and fail in CI."""
    try:
        server.start()
    except StoreUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    return server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server without a file, on a unix socket, for one test process."""
    # Not pytest's tmp_path: a unix socket's path may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        server = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s", is_durable=False))
        yield server
        server.stop()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server without a file that one test may upset, stop and start."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        server = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s", is_durable=False))
        yield server
        server.stop()


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


@pytest.fixture(scope="session")
def primary_url(redis_url: str) -> str:
    """Where a plain client finds the store's keys."""
    return redis_url


@pytest.fixture
def db(redis_url: str, primary_url: str) -> Iterator[RedisDB]:
    """An empty store."""
    with redis.Redis.from_url(primary_url) as client:
        client.flushall()
    with RedisDB(redis_url) as store:
        yield store
