"""How busy the machine is, beside the metrics of a training."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import psutil

from training_monitor.nvml import Gpus

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
_MIB: Final = 1 << 20
_RATES: Final = {
    "disk_read_mib_per_s": "read_bytes",
    "disk_write_mib_per_s": "write_bytes",
    "network_sent_mib_per_s": "bytes_sent",
    "network_received_mib_per_s": "bytes_recv",
}


class SystemMeter:
    """Reads this machine and this process; rates are those since the reading before."""

    def __init__(self, gpus: Gpus | None = None) -> None:
        """Take the first reading of what is counted."""
        self._process = psutil.Process()
        self._gpus = Gpus() if gpus is None else gpus
        self._process.cpu_percent()
        psutil.cpu_percent()
        self._before = self._counters()

    def read(self) -> dict[str, float]:
        """Return percentages, MiB, MiB/s, °C and W, all under ``system/``."""
        at_s, counted = self._counters()
        before_s, before = self._before
        self._before = (at_s, counted)
        found = {
            "cpu_percent": psutil.cpu_percent(),
            "process_cpu_percent": self._process.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "process_memory_mib": self._process.memory_info().rss / _MIB,
            "disk_percent": psutil.disk_usage(os.getcwd()).percent,  # noqa: PTH109 a Path for its text only
        }
        if at_s > before_s:
            shared = counted.keys() & before.keys()
            found |= {name: (counted[name] - before[name]) / _MIB / (at_s - before_s) for name in shared}
        found |= self._gpus.read()
        return {f"system/{name}": float(value) for name, value in sorted(found.items())}

    def _counters(self) -> tuple[float, dict[str, int]]:
        # Neither is there in every container.
        sources = (psutil.disk_io_counters(), psutil.net_io_counters())
        counted = {
            name: getattr(source, field)
            for name, field in _RATES.items()
            for source in sources
            if hasattr(source, field)
        }
        return time.monotonic(), counted


class SystemWatch:
    """Reads the machine every five seconds, in a thread."""

    def __init__(
        self, take: Callable[[Mapping[str, float], int], object], *, every_s: float = EVERY_S
    ) -> None:
        """Take who is told the metrics and the whole seconds since the start; ``start`` begins."""
        self._take, self._every_s = take, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="training_monitor system", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a reading that is being taken is not waited for."""
        self._stopped.set()

    def _watch(self) -> None:
        started_s = time.monotonic()
        try:
            meter = SystemMeter()
            while not self._stopped.wait(self._every_s):
                self._take(meter.read(), round(time.monotonic() - started_s))
        except Exception as error:  # noqa: BLE001 the outer edge: a strange machine must not end a training
            log.warning("No more metrics of the system: %s", error)
