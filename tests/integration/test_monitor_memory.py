"""The memory that outlives a process: given back when it ends, or by a later monitor when it was killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.monitor_memory import free_memory_below, memory_below
from tests.monitor_server import MonitorServer, wait_until_ended
from tests.programs import ROOT, wait_until
from training_monitor import TrainingMonitor
from training_monitor.connection import Connection
from training_monitor.orphans import find_memory, give_back_memory
from training_monitor.ownership import Owner
from training_monitor.replay import replay
from training_monitor.window import SHARED_MEMORY

Start = Callable[..., TrainingMonitor]
LONG_AGO_S = 7_200.0
KILLED = """
import os, signal
from training_monitor import TrainingMonitor
monitor = TrainingMonitor("killed", system_metrics=False)
for step in range(100):
    monitor.log_metrics({"loss": step}, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _free_memory(tmp_path: Path) -> Iterator[None]:
    yield
    free_memory_below(tmp_path)


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that takes requests and does not answer them until the test ends."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ended.wait()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    ended.set()
    server.shutdown()
    server.server_close()


def run_and_kill(spool: Path, api_url: str) -> Path:
    """Return the memory of a script that logged a hundred points and was killed."""
    environment = {**os.environ, "WATTLE_API_URL": api_url, "WATTLE_SPOOL_DIR": str(spool)}
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    (memory,) = memory_below(spool)
    return memory


def age(memory: Path) -> None:
    then_s = time.time() - LONG_AGO_S
    os.utime(memory, (then_s, then_s))


def change_owner(memory: Path, **changes: object) -> None:
    owner = Owner.read(memory)
    assert owner is not None
    content = memoryview(bytearray(memory.read_bytes()))
    replace(owner, **changes).note(content)  # type: ignore[arg-type]
    memory.write_bytes(content)


def test_a_run_that_is_left_in_the_middle_of_a_request_needs_no_memory(
    start: Start, hanging: str, tmp_path: Path
) -> None:
    monitor = start(api_url=hanging)
    monitor.log_metrics({"loss": 1.0}, 0)
    assert memory_below(tmp_path)
    monitor.finish(timeout_s=0.0)
    assert memory_below(tmp_path) == []


def test_a_run_that_was_left_is_free_for_others_once_its_request_has_ended(
    start: Start, server: MonitorServer, spool: Path
) -> None:
    server.stop()
    monitor = start()
    monitor.log_metrics({"loss": 1.0}, 0)
    monitor.finish(timeout_s=0.0)
    wait_until_ended(monitor)
    server.start()
    connection = Connection(server.url)
    assert replay(spool, connection).sent == 1
    connection.close()


def test_what_a_killed_process_left_goes_to_its_disk_and_its_memory_is_free(
    server: MonitorServer, tmp_path: Path
) -> None:
    server.stop()
    memory = run_and_kill(tmp_path / "elsewhere", server.url)
    give_back_memory()
    assert memory.exists(), "who comes to send it has an hour to do so"
    age(memory)
    give_back_memory()
    assert not memory.exists()
    server.start()
    connection = Connection(server.url)
    assert replay(tmp_path / "elsewhere", connection).sent == 1
    connection.close()
    assert [point[0] for point in server.only_run.points["loss"]] == list(range(100))


def test_a_monitor_with_another_spool_gives_back_memory_whose_folder_is_deleted(
    server: MonitorServer, tmp_path: Path, start: Start
) -> None:
    server.stop()
    memory = run_and_kill(tmp_path / "elsewhere", server.url)
    shutil.rmtree(tmp_path / "elsewhere")
    server.start()
    start()
    wait_until(lambda: not memory.exists())


@pytest.mark.parametrize(
    "changes",
    [{"namespace": "mnt:[1]"}, {"root": (1, 1)}, {"device": 1}],
    ids=["another container", "another root", "a disk that is not there"],
)
def test_a_folder_that_may_be_out_of_sight_keeps_its_memory(
    changes: dict[str, object], server: MonitorServer, tmp_path: Path
) -> None:
    server.stop()
    memory = run_and_kill(tmp_path / "elsewhere", server.url)
    # In this order: a monitor of another test gives back what is old and whose folder is gone for all to see.
    change_owner(memory, **changes)
    shutil.rmtree(tmp_path / "elsewhere")
    age(memory)
    give_back_memory()
    assert memory.exists()


def test_memory_of_a_living_process_is_left_alone(
    start: Start, server: MonitorServer, tmp_path: Path
) -> None:
    server.stop()
    start().log_metrics({"loss": 1.0}, 0)
    (memory,) = memory_below(tmp_path)
    age(memory)
    give_back_memory()
    assert memory.exists()


def test_what_is_no_memory_of_ours_is_left_alone(tmp_path: Path) -> None:
    contents = [b"", b"x" * 100, b"\xff" * 20_000, json.dumps({"folder": 1}).encode() + bytes(8 << 10)]
    for number, content in enumerate(contents):
        (tmp_path / f"wattle-{number}").write_bytes(content)
        (tmp_path / f"wattle-{number}").chmod(0o600)
    give_back_memory(tmp_path)
    assert list(find_memory(tmp_path)) == []
    assert len(list(tmp_path.iterdir())) == len(contents)
    assert SHARED_MEMORY.exists()
