"""CodeCarbon's own figure for this machine, as a cross-check, from a process of its own.

CodeCarbon takes a second to start, cannot be restarted, and two trackers would double count; so one process
per machine has one tracker. ``python -m carbon_aware_trainer.energy.codecarbon_process`` is that process.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from carbon_aware_trainer.energy.memory import RAM
from carbon_aware_trainer.energy.meter import ESTIMATE_ERROR
from carbon_aware_trainer.energy.sample_log import OtherFigure
from carbon_aware_trainer.energy.sharing import CPU
from carbon_aware_trainer.records import JOULES_PER_KWH, Counters, Source

STEP_S = 2.0
_NOT_INSTALLED = "CodeCarbon is not installed. Run: pip install codecarbon"


class CodeCarbonProcess:
    """The process and its newest figures. Also a meter of the CPUs, for those who want CodeCarbon's alone."""

    sources = (
        Source(CPU, "estimated", "CodeCarbon, whole machine, shared by CPU time", ESTIMATE_ERROR, STEP_S),
        Source(RAM, "estimated", "CodeCarbon's memory constant", "a constant: not observed", STEP_S, False),
    )

    def __init__(
        self, program: tuple[str, ...] = ("-m", "carbon_aware_trainer.energy.codecarbon_process")
    ) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._joules = {CPU: 0.0, RAM: 0.0}
        self._figure: OtherFigure | None = None
        self._is_new = False
        self._failure: str | None = "CodeCarbon is still starting."
        self._process: subprocess.Popen[str] | None = None
        self._is_started = False

    def start(self) -> None:
        """Start it, once; nothing waits for it, and its failure is a reason in its figures."""
        if self._is_started:
            return
        self._is_started = True
        if not is_installed():
            self._fail(_NOT_INSTALLED)
            return
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, *self._program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        threading.Thread(target=self._listen, name="codecarbon", daemon=True).start()

    def find_new(self) -> OtherFigure | None:
        """Return the newest figure, or why there is none any more, once; None without news."""
        with self._lock:
            is_new, self._is_new = self._is_new, False
            return self._figure if is_new else None

    def read(self) -> Counters:
        """Return the newest figures as a meter."""
        with self._lock:
            lost = {CPU: self._failure} if self._failure else {}
            return Counters(time.monotonic_ns(), dict(self._joules), lost)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def _listen(self) -> None:
        output = self._process.stdout if self._process else None
        with suppress(ValueError, OSError):  # closed while it was read
            for line in output or ():
                self._take(json.loads(line))
        self._fail("CodeCarbon's process has ended.")

    def _take(self, figures: dict[str, float]) -> None:
        joules = {key: figures[f"{key}_kwh"] * JOULES_PER_KWH for key in (CPU, RAM)}
        total_j = sum(joules.values()) + figures["gpu_kwh"] * JOULES_PER_KWH
        with self._lock:
            self._joules, self._failure = joules, None
            self._figure, self._is_new = OtherFigure(int(figures["at_ns"]), total_j), True

    def _fail(self, reason: str) -> None:
        with self._lock:
            self._failure = reason
            self._figure, self._is_new = OtherFigure(time.monotonic_ns(), None, reason), True


def is_installed() -> bool:
    """Say whether CodeCarbon could be started."""
    return importlib.util.find_spec("codecarbon") is not None


def main() -> None:
    """Print CodeCarbon's cumulative figures every STEP_S, one JSON object a line, until stdin is closed."""
    logging.disable(logging.CRITICAL)
    os.nice(10)  # a training comes first
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="USA",  # of no effect on energy
        save_to_file=False,
        measure_power_secs=STEP_S,
        log_level="critical",
        allow_multiple_runs=True,
    )
    tracker.start()
    while True:
        time.sleep(STEP_S)
        # CodeCarbon hands its parts out at its end only, and it cannot go on after that: hence its own fields
        figures = {
            "at_ns": time.monotonic_ns(),
            "cpu_kwh": tracker._total_cpu_energy.kWh,
            "ram_kwh": tracker._total_ram_energy.kWh,
            "gpu_kwh": tracker._total_gpu_energy.kWh,
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
