"""How a worker wakes the sampler of its machine, and hears that the sample it wants is in the log."""

from __future__ import annotations

import os
import select
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

# What was rung for: a sample now, or a changed roster.
Ring = Literal["sample", "roster"]

_LONGEST_PATH = 100  # Source: unix(7), sun_path has 108 bytes; 104 on macOS


class _Socket:
    """A datagram socket with a name in a folder, however long the folder's path is."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises OSError."""
        self._folder_fd = os.open(folder, os.O_RDONLY)
        self._folder, self._name = folder, name
        with ExitStack() as opened:
            opened.callback(os.close, self._folder_fd)
            self._socket = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            (folder / name).unlink(missing_ok=True)
            self._socket.bind(self._address(name))
            self._socket.setblocking(False)
            self._named = (folder / name).stat()
            opened.pop_all()  # close() does it from here on

    def close(self) -> None:
        """Give the name back."""
        self._socket.close()
        os.close(self._folder_fd)
        if self._has_name():
            with suppress(OSError):
                (self._folder / self._name).unlink(missing_ok=True)

    def _has_name(self) -> bool:
        """Say whether others still reach this socket: the name may be gone, or a successor's."""
        try:
            return os.path.samestat(self._named, (self._folder / self._name).stat())
        except OSError:
            return False

    def _send(self, text: str, to: str) -> bool:
        try:
            self._socket.sendto(text.encode(), self._address(to))
        except OSError:  # nobody there, or so many rings wait that one more changes nothing
            return False
        return True

    def _receive(self, timeout_s: float) -> list[str]:
        """Return what has arrived, waiting at most ``timeout_s`` for the first."""
        texts: list[str] = []
        if not select.select([self._socket], [], [], max(0.0, timeout_s))[0]:
            return texts
        with suppress(BlockingIOError):
            while True:
                texts.append(self._socket.recv(256).decode("ascii", "replace"))
        return texts

    def _address(self, name: str) -> str:
        path = str(self._folder / name)
        if len(os.fsencode(path)) > _LONGEST_PATH and sys.platform == "linux":
            return f"/proc/self/fd/{self._folder_fd}/{name}"
        return path


class Bell(_Socket):
    """The sampler's side."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "bell")

    def wait(self, timeout_s: float) -> dict[str, Ring]:
        """Return who has rung and what for, waiting at most ``timeout_s``."""
        rings: dict[str, Ring] = {}
        for text in self._receive(timeout_s):
            kind, _, name = text.partition(" ")
            if rings.get(name) != "roster":
                rings[name] = "roster" if kind == "roster" else "sample"
        return rings

    def answer(self, names: dict[str, Ring]) -> None:
        """Tell those who rang that the log has what they want."""
        for name in names:
            self._send("done", name)


class Ear(_Socket):
    """A worker's side."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(folder, f"ear-{pid}")

    def ring(self, kind: Ring) -> bool:
        """Ring the bell; False when no sampler is there, or its answer could not arrive."""
        return self._send(f"{kind} {self._name}", "bell") and self._has_name()

    def wait(self, timeout_s: float) -> bool:
        """Wait for an answer, at most ``timeout_s``; False without one."""
        return bool(self._receive(timeout_s))
