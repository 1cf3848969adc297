"""Backend and worker say at their start what about Redis could lose runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.redis_server import RedisServer
from tests.ports import own_port
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("program", ["backend", "worker"])
def test_a_program_warns_once_at_its_start(program: str, own_redis: RedisServer, tmp_path: Path) -> None:
    programs = Programs(redis_url=own_redis.url, data_dir=tmp_path / "data")
    try:
        if program == "backend":
            programs.start("backend.py", port=own_port())
        else:
            programs.start_worker()
        wait_until(lambda: "Set appendonly yes" in programs.output())
        assert programs.output().count("Set appendonly yes") == 1
        assert "noeviction" not in programs.output()
    finally:
        programs.stop()


def test_a_program_that_starts_before_redis_warns_once_it_is_there(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.stop()
    programs = Programs(redis_url=own_redis.url, data_dir=tmp_path / "data")
    try:
        programs.start_worker()
        wait_until(lambda: "for Redis" in programs.output(), what="it waits for Redis")
        own_redis.start()
        wait_until(lambda: "Set appendonly yes" in programs.output())
    finally:
        programs.stop()


@pytest.mark.parametrize("url", ["nonsense", "rediss://h?ssl_ca_certs=/no-such-file", "redis+sentinel://h"])
def test_a_worker_whose_address_of_redis_is_wrong_ends_with_a_sentence(url: str, tmp_path: Path) -> None:
    programs = Programs(redis_url=url, data_dir=tmp_path / "data")
    assert programs.start("worker.py", "--device", "cpu").wait(60) == 2
    assert "worker: " in programs.output()
    assert "WATTLE_REDIS_URL" in programs.output()
    assert "Traceback" not in programs.output()
