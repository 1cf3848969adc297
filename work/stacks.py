"""Asking a hung child where it stands: on SIGUSR1 it writes the stack of each of its threads."""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
from pathlib import Path

_WAIT_S, _POLL_S = 1.0, 0.05


def listen_for_stacks(path: Path) -> None:
    """Write the stacks to ``path`` whenever SIGUSR1 comes. For the child."""
    # Open for as long as the process lives: the handler can open nothing.
    stream = path.open("wb", buffering=0)
    faulthandler.register(signal.SIGUSR1, file=stream, all_threads=True)


class Stacks:
    """The file in which a child leaves its stacks."""

    def __init__(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="wattle-stacks-")
        os.close(descriptor)
        self.path = Path(name)

    def ask(self, pid: int) -> str | None:
        """Return where each thread of the child stands; None when it does not say so within a second."""
        os.kill(pid, signal.SIGUSR1)
        give_up_s = time.monotonic() + _WAIT_S
        before = -1
        while time.monotonic() < give_up_s:
            size = self.path.stat().st_size
            if size and size == before:
                break
            before = size
            time.sleep(_POLL_S)
        return self.path.read_text(encoding="utf-8", errors="replace").strip() or None

    def close(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
