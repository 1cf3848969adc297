"""results/leaderboard.csv, while the backends that write it are killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from redis_db import RedisDB
from tests.integration.test_leaderboard import finish
from tests.ports import own_port
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def programs(redis_url: str, tmp_path: Path) -> Iterator[Programs]:
    started = Programs(redis_url=redis_url, data_dir=tmp_path)
    yield started
    started.stop()


def kill(backend: subprocess.Popen[bytes]) -> None:
    """Kill gunicorn and its worker, which is in the same session."""
    for process in (*psutil.Process(backend.pid).children(recursive=True), psutil.Process(backend.pid)):
        os.kill(process.pid, signal.SIGKILL)
    backend.wait()


def test_the_file_is_right_after_each_run_whichever_backend_is_killed(
    db: RedisDB, programs: Programs, tmp_path: Path
) -> None:
    path = tmp_path / "results" / "leaderboard.csv"

    def lists(*run_ids: str) -> bool:
        # Read at any moment, it is whole.
        lines = path.read_text().splitlines() if path.exists() else []
        return sorted(line.partition(",")[0] for line in lines[1:]) == sorted(run_ids)

    finish(db, "a")
    first, second = (programs.start("backend.py", port=own_port()) for _ in range(2))
    wait_until(lambda: lists("a"), what=programs.output())
    kill(first)
    finish(db, "b")
    wait_until(lambda: lists("a", "b"), what=programs.output())
    programs.start("backend.py", port=own_port())
    kill(second)
    finish(db, "c")
    wait_until(lambda: lists("a", "b", "c"), what=programs.output())
