"""How busy a host and the training on it are: read now and then, beside what the meters of energy read."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import psutil

from carbon_aware_trainer.records import GpuFacts
from schema import UsagePoint
from work.host import used_share

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
# Points are sent this many at a time; a run of fewer has none, so that short ones take no room.
POINTS_AT_ONCE: Final = 3
# While Redis hangs, older ones are not kept: they are no account of anything.
_MOST_KEPT: Final = 200
_MIB: Final = 1 << 20
_RATES: Final = {
    "disk_read_mib_per_s": "read_bytes",
    "disk_write_mib_per_s": "write_bytes",
    "network_sent_mib_per_s": "bytes_sent",
    "network_received_mib_per_s": "bytes_recv",
}


class Reader(Protocol):
    """What can tell how busy things are."""

    def read(self) -> Mapping[str, float]:
        """Return it; what cannot be read is absent."""


class UsageMeter:
    """Reads the host, its disk with ``folder``, a process with its descendants, and the GPUs it trains on.

    Percentages of CPU and rates are those since the reading before. All memory that processes share counts
    for each of them.
    """

    def __init__(self, pid: int, folder: Path, list_gpus: Callable[[], Sequence[GpuFacts | None]]) -> None:
        """Take the first reading of what is counted."""
        self._folder, self._list_gpus = folder.resolve(), list_gpus
        self._pid = pid
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._counted: dict[str, float] = {}
        self._read_s = 0.0
        psutil.cpu_percent()
        self.read()

    def read(self) -> Mapping[str, float]:
        """Return percentages, MiB, MiB/s, °C and W, by the names that the monitor for scripts uses."""
        now_s = time.monotonic()
        elapsed_s, self._read_s = now_s - self._read_s, now_s
        found = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "disk_percent": 100 * used_share(self._folder),
        }
        return found | self._read_rates(elapsed_s) | self._read_processes(elapsed_s) | self._read_gpus()

    def _read_rates(self, elapsed_s: float) -> dict[str, float]:
        sources = (_read_counters(psutil.disk_io_counters), _read_counters(psutil.net_io_counters))
        before, self._counted = (
            self._counted,
            {
                name: float(getattr(source, field))
                for name, field in _RATES.items()
                for source in sources
                if hasattr(source, field)
            },
        )
        shared = self._counted.keys() & before.keys()
        return {name: (self._counted[name] - before[name]) / _MIB / elapsed_s for name in shared}

    def _read_processes(self, elapsed_s: float) -> dict[str, float]:
        """Read the training; a process counts from the first reading that finds it, the dead ones no more."""
        before, self._cpu_s, memory_bytes = self._cpu_s, {}, 0
        for process in _list_tree(self._pid):
            try:
                with process.oneshot():
                    times, born = process.cpu_times(), process.create_time()
                    memory_bytes += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
            self._cpu_s[process.pid, born] = times.user + times.system
        if not self._cpu_s:
            return {}
        used_s = sum(max(0.0, cpu_s - before.get(key, cpu_s)) for key, cpu_s in self._cpu_s.items())
        return {
            "process_cpu_percent": 100 * used_s / elapsed_s,
            "process_memory_mib": memory_bytes / _MIB,
        }

    def _read_gpus(self) -> dict[str, float]:
        told = {
            f"gpu{number}_{name}": value
            for number, gpu in enumerate(self._list_gpus())
            if gpu is not None
            for name, value in (
                ("percent", None if gpu.utilisation is None else 100 * gpu.utilisation),
                ("memory_mib", None if gpu.memory_used_bytes is None else gpu.memory_used_bytes / _MIB),
                ("temperature_c", gpu.temperature_c),
                ("power_w", gpu.power_w),
            )
        }
        return {name: float(value) for name, value in told.items() if value is not None}


class UsageWatch:
    """Reads every five seconds, in a thread: a network drive that hangs keeps no worker from renewing."""

    def __init__(self, open_reader: Callable[[], Reader], *, every_s: float = EVERY_S) -> None:
        """Begin."""
        self._open_reader, self._every_s = open_reader, every_s
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._readings: list[UsagePoint] = []
        threading.Thread(target=self._watch, name="usage", daemon=True).start()

    def take(self) -> list[UsagePoint]:
        """Return what has been read since the last time."""
        with self._lock:
            taken, self._readings = self._readings, []
        return taken

    def close(self) -> None:
        """End; a reading that is being taken is not waited for."""
        self._stopped.set()

    def _watch(self) -> None:
        try:
            reader = self._open_reader()
            while not self._stopped.wait(self._every_s):
                point = UsagePoint(values=dict(reader.read()), at=datetime.now(UTC))
                with self._lock:
                    self._readings = [*self._readings, point][-_MOST_KEPT:]
        except (OSError, psutil.Error, StopIteration) as error:
            log.warning("it is no longer known how busy this host is: %s", error)


class RunUsage:
    """Gathers readings of an attempt into points of the interval that the store wants."""

    def __init__(self, watch: UsageWatch, *, every_s: float = EVERY_S) -> None:
        self._watch, self._every_s = watch, every_s
        self.interval_s = every_s
        self._readings: list[UsagePoint] = []
        self._points: list[UsagePoint] = []
        self._has_sent = False

    def take_points(self, *, is_last: bool = False) -> list[UsagePoint]:
        """Return the points that are to be sent now."""
        for reading in self._watch.take():
            self._readings.append(reading)
            if len(self._readings) >= round(self.interval_s / self._every_s):
                self._points.append(mean_of(self._readings))
                self._readings = []
        is_due = len(self._points) >= POINTS_AT_ONCE or (is_last and self._has_sent and bool(self._points))
        if not is_due:
            return []
        points, self._points, self._has_sent = self._points, [], True
        return points

    def close(self) -> None:
        """Read no more."""
        self._watch.close()


def mean_of(readings: Sequence[UsagePoint]) -> UsagePoint:
    """Return readings as one, at the time of the last; what only some of them know is left out."""
    names = set[str].intersection(*(set(reading.values) for reading in readings))
    values = {
        name: sum(reading.values[name] for reading in readings) / len(readings) for name in sorted(names)
    }
    return UsagePoint(at=readings[-1].at, values=values)


def _read_counters(read: Callable[[], object]) -> object | None:
    """Read what a host has counted; it does not count everything in every container."""
    try:
        return read()
    except NotImplementedError:
        return None


def _list_tree(pid: int) -> Sequence[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return ()
