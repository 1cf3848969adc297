"""The process of a script: its clean environment, what it prints and reports, and its end."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from schema import TrainingContext
from trainers.leashed import STOP_GRACE_S, Leashed

_INHERITED = ("PATH", "HOME", "LANG")
_CHUNK_BYTES = 65_536
# A script that prints without line ends must not fill the memory.
_LONGEST_LINE_BYTES = 65_536


class ScriptProcess:
    """A running script, in a process group of its own that ends with it, with this object or this process."""

    def __init__(
        self, command: Sequence[str], hyper_params: Mapping[str, object], context: TrainingContext
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wattle-script-")
        params_path = Path(self._folder.name) / "hyper_params.json"
        params_path.write_text(json.dumps(hyper_params, indent=2), encoding="utf-8")
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
            "WATTLE_RUN_ID": context.run_id,
            "WATTLE_HYPER_PARAMS": str(params_path),
            "WATTLE_API_URL": context.api_url,
            "WATTLE_DEVICE": context.device,
        }
        self._leashed = Leashed(
            [sys.executable, "-u", *command],
            environment=environment,
            folder=Path(command[0]).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._process = self._leashed.process
        if self._process.stdout is None:
            raise AssertionError("stdout is a pipe")
        self._output = _Lines(self._process.stdout.fileno())
        self._reports = _Lines(self._leashed.reports)
        self._selector = selectors.DefaultSelector()
        for lines in (self._output, self._reports):
            self._selector.register(lines.fd, selectors.EVENT_READ, lines)

    @property
    def has_ended(self) -> bool:
        """True once it has ended and everything it said was read."""
        return not self._selector.get_map()

    @property
    def exit_code(self) -> int:
        """The exit code, waiting for it; 128 + N when signal N ended it."""
        return self._process.wait()

    def read(self, timeout_s: float) -> tuple[list[str], list[str]]:
        """Return the lines it has printed and those it has reported, waiting up to ``timeout_s`` for one."""
        for ready, _ in self._selector.select(timeout_s):
            if not ready.data.fill():
                self._selector.unregister(ready.fd)
        return self._output.take(), self._reports.take()

    def stop(self) -> None:
        """Send SIGTERM to it and what it started, and SIGKILL after a grace."""
        self._leashed.signal(signal.SIGTERM)
        end_s = time.monotonic() + STOP_GRACE_S
        while self._process.poll() is None and time.monotonic() < end_s:
            self.read(0.02)
        self._leashed.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leashed.cut()
        self._selector.close()
        os.close(self._reports.fd)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()


class _Lines:
    """The lines of a pipe, as they come."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._rest = b""
        self._lines: list[str] = []

    def fill(self) -> bool:
        """Read what is there; False at the end."""
        chunk = os.read(self.fd, _CHUNK_BYTES)
        *complete, self._rest = (self._rest + chunk).split(b"\n")
        if self._rest and (not chunk or len(self._rest) > _LONGEST_LINE_BYTES):
            complete.append(self._rest)
            self._rest = b""
        self._lines += [line.decode("utf-8", "replace").rstrip("\r") for line in complete]
        return bool(chunk)

    def take(self) -> list[str]:
        """Return the lines since the last call; blank ones say nothing."""
        lines, self._lines = self._lines, []
        return [line for line in lines if line.strip()]


def describe_exit(code: int) -> str:
    """Say what an exit code means."""
    if code > 128 and code - 128 in set(signal.Signals):
        return f"exit code {code} ({signal.Signals(code - 128).name})"
    return f"exit code {code}"
