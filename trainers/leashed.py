"""A program under the leash: it ends, with everything it started, once its owner is done with it or gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")
# The worker waits two seconds for a run that it asked to stop.
STOP_GRACE_S = 1.0


class Leashed:
    """A command in a process group of its own; ``reports`` reads what it writes to WATTLE_REPORT_FD."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        ends, self._lifeline = os.pipe()
        self.reports, report = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(_LEASH), str(ends), str(report), *command],
            cwd=folder,
            env={**environment, "WATTLE_REPORT_FD": str(report)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(ends, report),
            start_new_session=True,
        )
        os.close(ends)
        os.close(report)

    def cut(self) -> None:
        """Close the lifeline: the leash kills whatever still runs. Waits until it has."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        try:
            self.process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group; one that has ended hears nothing."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)
