"""A Wattle of its own, for tests and pictures of a whole site."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.redis_server import RedisServer, free_port
from client import Client
from redis_db import RedisDB
from tests.browser.conftest import START_TIMEOUT_S, Stack
from tests.browser.scene import write_grid
from tests.conftest import start_redis
from tests.programs import EMPTY, Programs, wait_until


def start_worker(stack: Stack) -> None:
    """Start a worker where the grid is known; returns when it has come."""
    stack.programs.start_worker(environment=stack.environment)
    wait_until(stack.db.workers.list_live, timeout_s=START_TIMEOUT_S, what=stack.programs.output())


@contextmanager
def own_stack(*, ports: int, environment: Mapping[str, str] = EMPTY) -> Iterator[tuple[Stack, Path]]:
    """Start Redis, backend and page in the zone of a known grid; give them and their folder."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as name:
        folder = Path(name)
        redis = start_redis(RedisServer(folder, unix_socket=folder / "s"))
        write_grid(folder / "grid.json")
        grid = {
            "WATTLE_ZONE": "DE",
            "WATTLE_CARBON_MODEL": "cached",
            "WATTLE_CARBON_FILE": str(folder / "grid.json"),
        }
        programs = Programs(redis_url=redis.url, data_dir=folder / "data")
        try:
            api_port, page_port = (free_port(first + os.getpid() % 1000) for first in (ports, ports + 1000))
            with RedisDB(redis.url) as db, Client(f"http://127.0.0.1:{api_port}") as api:
                started = Stack(
                    programs, db, api, api_port, page_port, folder / "data", {**grid, **environment}
                )
                started.start_backend()
                started.start_page()
                yield started, folder
        finally:
            programs.stop()
            redis.stop()
