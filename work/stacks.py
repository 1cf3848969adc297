"""Asking a hung child where it stands: on SIGUSR1 it writes the stack of each of its threads."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import tempfile
import time
from pathlib import Path

log = logging.getLogger(__name__)

_WAIT_S, _POLL_S = 1.0, 0.05


def listen_for_stacks(path: Path) -> None:
    """Write the stacks to ``path`` whenever SIGUSR1 comes. For the child."""
    # Open for as long as the process lives: the handler can open nothing.
    stream = path.open("wb", buffering=0)
    faulthandler.register(signal.SIGUSR1, file=stream, all_threads=True)


class Stacks:
    """The file in which a child leaves its stacks. A disk that fails costs the stacks, and nothing else."""

    def __init__(self) -> None:
        self.path: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(prefix="wattle-stacks-")
            self.path = Path(name)
            os.close(descriptor)
        except OSError as error:
            log.warning("a training that hangs cannot say where, there is no file for it: %s", error)

    def ask(self, pid: int) -> str | None:
        """Return where each thread of the child stands; None when it does not say so within a second."""
        if self.path is None:
            return None
        try:
            return _ask(pid, self.path)
        except OSError as error:  # the child has just ended, or somebody has cleaned up the temporary files
            log.warning("a training that hangs does not say where: %s", error)
            return None

    def close(self) -> None:
        """Delete the file."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()


def _ask(pid: int, path: Path) -> str | None:
    os.kill(pid, signal.SIGUSR1)
    give_up_s = time.monotonic() + _WAIT_S
    before = -1
    while time.monotonic() < give_up_s:
        size = path.stat().st_size
        if size and size == before:
            break
        before = size
        time.sleep(_POLL_S)
    return path.read_text(encoding="utf-8", errors="replace").strip() or None
