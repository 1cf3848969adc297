"""A program on a terminal of its own: what it draws, and what a person types."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.programs import wait_until

ROOT = Path(__file__).resolve().parent.parent
CTRL_C = "\x03"
CTRL_U = "\x15"
TAB = "\t"
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A program that owns a terminal of ``columns`` × 40, so that Ctrl-C reaches it as from a keyboard."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], columns: int = 100) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._before: list[Any] = termios.tcgetattr(slave)
        self._slave = slave
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environment},
            preexec_fn=lambda: _own(slave),
        )  # fmt: skip
        self._drawn = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._slave)
        self._reader.join(10)
        os.close(self._master)

    @property
    def drawn(self) -> str:
        """All that came, with what steers the terminal."""
        return self._drawn.decode(errors="replace")

    @property
    def text(self) -> str:
        """All that came as it can be read."""
        return _STEERING.sub("", self.drawn)

    @property
    def is_as_before(self) -> bool:
        """Whether it echoes and shows its cursor as before the program."""
        is_shown = self.drawn.rfind(_SHOW) >= self.drawn.rfind(_HIDE)
        return is_shown and termios.tcgetattr(self._slave) == self._before

    def wait_for(self, text: str, *, after: int = 0) -> None:
        """Wait until a text was drawn, behind so many characters of ``text``."""
        wait_until(lambda: text in self.text[after:], timeout_s=60, what=f"{text!r} is drawn", every_s=0.02)

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def press_until(self, key: str, text: str, *, after: int = 0) -> None:
        """Press a key, and once more where nothing came of it, until a text is drawn."""

        def is_drawn() -> bool:
            if text in self.text[after:]:
                return True
            self.type(key)
            return False

        wait_until(is_drawn, timeout_s=120, what=f"{text!r} is drawn", every_s=5)

    def ended(self) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(60)
        # What it drew last is still in the terminal.
        wait_until(self._is_read, timeout_s=10, what="the last of it is read")
        return code

    def _is_read(self) -> bool:
        (waiting,) = struct.unpack("i", fcntl.ioctl(self._master, termios.FIONREAD, b"\0" * 4))
        return bool(waiting == 0)

    def _read(self) -> None:
        # EIO: nobody has the other end any more.
        with contextlib.suppress(OSError):
            while some := os.read(self._master, 65_536):
                self._drawn += some


def _own(slave: int) -> None:
    """Make it the terminal that controls this session; a run in the background ignores Ctrl-C."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def lines_of(drawn: str) -> Iterator[str]:
    """Yield each line as it stood on the terminal."""
    for line in re.split(r"[\r\n]+", _STEERING.sub("", drawn)):
        yield line.rstrip()
