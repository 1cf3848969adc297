"""A meter: the energy counter of a board, which the kernel's hwmon shows in microjoules."""

from __future__ import annotations

import os
import time
from pathlib import Path

from carbon_aware_trainer.energy.meter import RisingCounter
from carbon_aware_trainer.records import Counters, Source


class BoardMeter:
    """Reads the file that WATTLE_BOARD_COUNTER names."""

    def __init__(self) -> None:
        self._path = Path(os.environ.get("WATTLE_BOARD_COUNTER", "/sys/class/hwmon/hwmon0/energy1_input"))
        self._counter = RisingCounter("board's counter", self._read(), joules_per_unit=1e-6)
        # "cpu" is divided among the workers of a machine by their CPU time.
        self.sources = (
            Source("cpu", "measured", f"the board's counter {self._path}", "± 1 % of what it is", 0.1),
        )

    def read(self) -> Counters:
        """Read the counter; a reset is told, never taken for energy."""
        lost = self._counter.advance(self._read())
        return Counters(time.monotonic_ns(), {"cpu": self._counter.joules}, {"cpu": lost} if lost else {})

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def _read(self) -> float:
        return float(self._path.read_text())
