"""The processes of the ranks, from the side of the one that started them."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from schema import Record
from trainers.leashed import Leashed
from trainers.rank_messages import Joined, ModelSaved, Said, Saved, decode_said, encode
from trainers.torchrun import SOCKET

_ROOT = Path(__file__).resolve().parent.parent
_CHUNK_BYTES = 65_536

# What a rank is given: frames.
Welcome = Callable[[int], list[bytes]]
Frame = tuple[Said, bytes]


class RankProcesses:
    """torchrun and its ranks, which end with this object, this process or any one of them.

    ``welcome`` returns the frames that a rank gets when it has joined.
    """

    def __init__(self, gpus: int, welcome: Welcome) -> None:
        self._welcome = welcome
        self._folder = tempfile.TemporaryDirectory(prefix="wattle-ranks-")
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(f"{self._folder.name}/{SOCKET}")
        self._door.listen(gpus)
        self._pipes: dict[int, Connection] = {}
        self._newcomers: list[Connection] = []
        self._report = b""
        self._is_reported = False
        self.has_ended = False
        """True once torchrun has ended and there is nothing left of what the ranks had said."""
        self._leashed = Leashed(
            [sys.executable, "-m", "trainers.torchrun", self._folder.name, str(gpus)],
            environment=_environment(),
        )

    @property
    def has_begun(self) -> bool:
        """True once rank 0 can be asked for something."""
        return 0 in self._pipes

    @property
    def failures(self) -> dict[int, int]:
        """The exit codes of the ranks that failed first, below 0 for a signal; empty until torchrun says."""
        return dict(json.loads(self._report)) if self.has_ended and self._report else {}

    def receive(self, timeout_s: float) -> list[Frame]:
        """Return what ranks have said, each with the bytes that belong to it; waits for the first."""
        said: list[Frame] = []
        for ready in wait([self._door, *self._sources], timeout_s):
            if ready is self._door:
                self._newcomers.append(Connection(self._door.accept()[0].detach()))
            elif isinstance(ready, Connection):
                said += self._read(ready)
            else:
                chunk = os.read(self._leashed.reports, _CHUNK_BYTES)
                self._report += chunk
                self._is_reported = not chunk
        # Whoever ends the leash ends torchrun and with it the ranks, so this is no way to hide.
        is_over = self._is_reported or self._leashed.process.poll() is not None
        self.has_ended = is_over and not wait(self._sources, 0)
        return said

    def answer(self, message: Record) -> None:
        """Send rank 0 a message; it may have ended already, which is heard next."""
        try:
            self._pipes[0].send_bytes(encode(message))
        except (BrokenPipeError, ConnectionResetError, KeyError):
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leashed.cut()
        os.close(self._leashed.reports)
        self._door.close()
        for pipe in (*self._pipes.values(), *self._newcomers):
            pipe.close()
        self._folder.cleanup()

    @property
    def _sources(self) -> list[Connection | int]:
        """What may still bring something; a pipe whose rank has ended does so until it is read to its end."""
        reports = [] if self._is_reported else [self._leashed.reports]
        return [*reports, *self._pipes.values(), *self._newcomers]

    def _read(self, pipe: Connection) -> list[Frame]:
        """Return the next message of a rank; nothing when it has hung up: torchrun says why."""
        try:
            message = decode_said(pipe.recv_bytes())
            if isinstance(message, Joined):
                self._newcomers.remove(pipe)
                self._pipes[message.rank] = pipe
                for frame in self._welcome(message.rank):
                    pipe.send_bytes(frame)
                return []
            return [(message, pipe.recv_bytes() if isinstance(message, Saved | ModelSaved) else b"")]
        except (EOFError, OSError):  # OSError also where it died within a frame
            self._pipes = {rank: other for rank, other in self._pipes.items() if other is not pipe}
            self._newcomers = [other for other in self._newcomers if other is not pipe]
            pipe.close()
            return []


def _environment() -> dict[str, str]:
    """Return this process's environment, with what the ranks need to find Wattle and one another."""
    loopback = "lo" if sys.platform == "linux" else "lo0"
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        # All ranks are on this host: nothing of theirs has to be reachable from elsewhere.
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
    }
