"""The SDK dies with files waiting, and within one: the server has each that was kept, once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.redis_server import RedisServer
from tests.monitor_server import MonitorServer, monitor_server
from tests.ports import own_port
from tests.programs import ROOT, Programs, wait_until
from training_monitor import TrainingMonitor
from training_monitor.connection import Connection
from training_monitor.errors import MonitorError

pytestmark = pytest.mark.slow

# Says each step once all of it is kept, in one write.
SCRIPT = """
import os, sys, time
import numpy as np
from training_monitor import TrainingMonitor
monitor = TrainingMonitor("killed", system_metrics=False)
for step in range(100_000):
    monitor.log_metrics({"loss": step}, step)
    monitor.log_image("picture", np.full((8, 8), step % 256, dtype=np.uint8), step)
    if step % 20 == 0:  # of 300 and more the server keeps some
        monitor.log_histogram("weights", np.arange(step + 1), step)
    monitor.save_checkpoint({"w": np.full(int(sys.argv[1]), step)}, step, {"accuracy": step / 1e6})
    os.write(1, b"%d\\n" % step)
    time.sleep(0.005)
"""


class Script:
    """A training that keeps a picture, a histogram and a checkpoint a step, until it is killed."""

    def __init__(self, folder: Path, api_url: str, numbers: int = 1_000) -> None:
        self._output = folder / f"steps-{time.monotonic_ns()}"
        environment = {**os.environ, "WATTLE_API_URL": api_url, "WATTLE_SPOOL_DIR": str(folder / "spool")}
        with self._output.open("wb") as output, self._output.with_suffix(".log").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", SCRIPT, str(numbers)],
                cwd=ROOT, env=environment, stdout=output, stderr=errors,
            )  # fmt: skip

    @property
    def kept(self) -> int:
        return self._output.read_bytes().count(b"\n")

    def kill(self) -> int:
        """Kill it, and return how many steps it had kept."""
        assert self.process.poll() is None, self._output.with_suffix(".log").read_text()
        self.process.kill()
        self.process.wait()
        return self.kept


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    with monitor_server() as started:
        yield started


@pytest.fixture
def connections() -> Iterator[Callable[[str], Connection]]:
    with ExitStack() as opened:
        yield lambda url: opened.enter_context(closing(Connection(url)))


def replay(folder: Path, api_url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "training_monitor", "replay", "--spool-dir", str(folder / "spool")],
        cwd=ROOT, env={**os.environ, "WATTLE_API_URL": api_url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((folder / "spool").iterdir()) == []


def steps_of(server: MonitorServer, kind: str) -> list[int]:
    return [int(file.query["step"]) for file in server.only_run.files if file.query["kind"] == kind]


def has_asked(server: MonitorServer, requests: int) -> bool:
    return len(server.asked) > requests


def check(steps: list[int], kept: int) -> None:
    assert steps == list(range(len(steps))), "each once, in order"
    assert kept <= len(steps) <= kept + 1, "one more may have been kept than could be said"


def check_histograms(steps: list[int], kept: int) -> None:
    assert steps == list(range(0, steps[-1] + 1, 20)), "each once, in order"
    assert kept - 20 <= steps[-1] <= kept


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_costs_no_file_that_was_kept(
    seed: int, tmp_path: Path, server: MonitorServer
) -> None:
    """With an even seed the server is away; with an odd one it takes files, and loses some answers."""
    if seed % 2 == 0:
        server.stop()
    script = Script(tmp_path, server.url, 100_000 if seed == 1 else 1_000)
    moments = random.Random(seed)  # noqa: S311 moments, no secrets
    wait_until(lambda: script.kept > 5 + moments.randrange(40), timeout_s=60)
    server.lose_answers = seed
    kept = script.kill()
    server.lose_answers = 0
    if seed % 2 == 0:
        server.start()

    replay(tmp_path, server.url)

    check(steps_of(server, "image"), kept)
    check(steps_of(server, "checkpoint"), kept)
    check_histograms([histogram["step"] for histogram in server.only_run.histograms], kept)


def test_a_kill_of_the_replay_neither_doubles_nor_loses(tmp_path: Path, server: MonitorServer) -> None:
    server.stop()
    script = Script(tmp_path, server.url)
    wait_until(lambda: script.kept > 30, timeout_s=60)
    kept = script.kill()
    server.start()
    command = [sys.executable, "-m", "training_monitor", "replay", "--spool-dir", str(tmp_path / "spool")]
    for number in range(3):
        asked = len(server.asked)
        dying = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "WATTLE_API_URL": server.url})
        wait_until(partial(has_asked, server, asked + 3 + 2 * number), timeout_s=30)
        dying.kill()
        dying.wait()
    replay(tmp_path, server.url)
    check(steps_of(server, "image"), kept)
    check(steps_of(server, "checkpoint"), kept)
    check_histograms([histogram["step"] for histogram in server.only_run.histograms], kept)


def test_the_real_backend_has_each_file_once_after_a_kill_and_a_replay(
    tmp_path: Path, durable_redis: RedisServer, programs: Programs, connections: Callable[[str], Connection]
) -> None:
    """It comes while files wait, dies while they arrive, and comes back; the script is killed in between."""
    port = own_port()
    url = f"http://127.0.0.1:{port}"
    connection = connections(url)

    def start_backend() -> subprocess.Popen[bytes]:
        backend = programs.start(
            "-m", "gunicorn", "--config", "gunicorn.conf.py", "backend:create_app()", port=port
        )
        wait_until(lambda: answer(connection, "/healthz"), what="the backend is healthy", timeout_s=60)
        return backend

    script = Script(tmp_path, url)
    wait_until(lambda: script.kept > 20, timeout_s=60)
    backend = start_backend()
    wait_until(lambda: artifacts(connection), timeout_s=60, what="the first file arrives")
    os.killpg(backend.pid, 9)
    before = script.kept
    wait_until(lambda: script.kept > before + 5, timeout_s=60, what="the loop goes on")
    kept = script.kill()
    start_backend()

    replay(tmp_path, url)

    found = artifacts(connection)
    for kind, name in (("image", "picture"), ("checkpoint", "checkpoint.safetensors")):
        versions = sorted((each["version"], each["step"]) for each in found if each["kind"] == kind)
        assert {each["name"] for each in found if each["kind"] == kind} == {name}
        check([step for _, step in versions], kept)
    (run,) = connection.get("/api/experiments")["results"]
    histograms = connection.get(f"/api/histograms/{run['iid']}", {"name": "weights"})["histograms"]["weights"]
    check_histograms(histograms["steps"], kept)


def test_a_file_that_the_server_finds_too_large_is_said_and_the_next_one_arrives(
    tmp_path: Path, durable_redis: RedisServer, programs: Programs, connections: Callable[[str], Connection],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Its no comes while megabytes are on their way."""
    port = own_port()
    connection = connections(f"http://127.0.0.1:{port}")
    command = ("-m", "gunicorn", "--config", "gunicorn.conf.py", "backend:create_app()")
    programs.start(*command, port=port, max_artifact_mib=1)
    wait_until(lambda: answer(connection, "/healthz"), what="the backend is healthy", timeout_s=60)
    monitor = TrainingMonitor("large", api_url=connection.api_url, spool_dir=tmp_path / "spool", strict=True)
    monitor.save_checkpoint({"w": np.zeros(8 << 20)}, 0)
    monitor.save_checkpoint({"w": np.zeros(8)}, 1)
    assert monitor.finish(timeout_s=60)
    assert [each["step"] for each in artifacts(connection)] == [1]
    assert "WATTLE_MAX_ARTIFACT_MIB" in caplog.text


def answer(connection: Connection, path: str) -> Any:
    try:
        return connection.get(path)
    except MonitorError:
        return None


def artifacts(connection: Connection) -> list[Any]:
    """Return all artifacts of the only run."""
    runs = (answer(connection, "/api/experiments") or {"results": []})["results"]
    found: list[Any] = []
    cursor: str | None = ""
    while runs and cursor is not None:
        params = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
        page = connection.get(f"/api/artifacts/{runs[0]['iid']}", params)
        found, cursor = found + page["artifacts"], page["next_cursor"]
    return found
