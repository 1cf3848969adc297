"""Fixtures for tests in which something dies: a durable Redis of their own, and real programs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from tests.conftest import start_redis
from tests.fault.lossy import LossyDoor
from tests.programs import Programs


@pytest.fixture
def durable_redis() -> Iterator[RedisServer]:
    """A server with its append-only file, for this test alone."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        server = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s"))
        yield server
        server.stop()


@pytest.fixture
def store(durable_redis: RedisServer) -> Iterator[RedisDB]:
    with RedisDB(durable_redis.url) as db:
        yield db


@pytest.fixture
def programs(durable_redis: RedisServer, tmp_path: Path) -> Iterator[Programs]:
    started = Programs(redis_url=durable_redis.url, data_dir=tmp_path / "data")
    yield started
    started.stop()


@pytest.fixture
def door(durable_redis: RedisServer) -> Iterator[LossyDoor]:
    """A way to the server on which replies can be lost."""
    socket = Path(durable_redis.url.removeprefix("unix://"))
    opened = LossyDoor(socket, socket.with_name("d"))
    yield opened
    opened.close()
