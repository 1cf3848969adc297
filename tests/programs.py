"""Start Wattle's real programs for a test, and end them by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMPTY: Mapping[str, str] = {}
PLUGIN = ROOT / "tests" / "plugin"


def wait_until(
    is_true: Callable[[], object], *, timeout_s: float = 150.0, what: str = "", every_s: float = 0.01
) -> None:
    """Wait for a state of the world, bounded; never for a time.

    every_s: more where a look costs the machine much, as through the API, and the moment matters little.
    """
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout_s} s: {what or is_true}")
        time.sleep(every_s)


class Programs:
    """Wattle's processes of one test."""

    def __init__(self, *, redis_url: str, data_dir: Path, before: Sequence[str] = ()) -> None:
        """``before`` stands before every command, such as what runs it on another host."""
        self._before = before
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WATTLE_")},
            "PYTHONPATH": str(PLUGIN),
            "PYTHONUNBUFFERED": "1",
            "WATTLE_REDIS_URL": redis_url,
            "WATTLE_DATA_DIR": str(data_dir),
            # a sampler of this test's workers alone, and no second of CPU time for CodeCarbon
            "WATTLE_ENERGY_DIR": str(data_dir / "energy"),
            "WATTLE_CODECARBON": "false",
        }
        self._data_dir = data_dir
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, *command: str, environment: Mapping[str, str] = EMPTY, **settings: object
    ) -> subprocess.Popen[bytes]:
        """Start a program from the project's root; settings are WATTLE_ variables without the prefix."""
        extra: Mapping[str, str] = {f"WATTLE_{name.upper()}": str(value) for name, value in settings.items()}
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with (self._data_dir / f"program-{len(self._processes)}.log").open("wb") as output:
            process = subprocess.Popen(
                [*self._before, sys.executable, *command],
                cwd=ROOT,
                env={**self._environment, **extra, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def start_worker(
        self,
        *arguments: str,
        lease_s: float = 15.0,
        checkpoint_every_s: float = 60.0,
        checkpoint_url: str = "",
        environment: Mapping[str, str] = EMPTY,
        **settings: object,
    ) -> subprocess.Popen[bytes]:
        checkpoint_url = checkpoint_url or str(self._data_dir / "checkpoints")
        return self.start(
            "worker.py", "--device", "cpu", "--threads", "1", *arguments, environment=environment,
            lease_s=lease_s, checkpoint_every_s=checkpoint_every_s, checkpoint_url=checkpoint_url, **settings,
        )  # fmt: skip

    def output(self) -> str:
        """What all programs have printed."""
        return "\n".join(
            path.read_text(errors="replace") for path in sorted(self._data_dir.glob("program-*.log"))
        )

    def stop(self) -> None:
        """End every program and whatever is left in its session."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self._processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
