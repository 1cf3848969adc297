"""How long the CPUs of this machine were busy, whoever used them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import psutil

PROC_STAT = Path("/proc/stat")


class HostCpu(Protocol):
    """The machine's CPUs."""

    def busy_s(self) -> float:
        """Return the CPU seconds that all processes used together since the machine started."""

    def close(self) -> None:
        """Give the operating system back what was opened."""


class LinuxCpu:
    """The first line of /proc/stat, in ticks of 10 ms. Source: proc_stat(5)."""

    def __init__(self, file: Path = PROC_STAT) -> None:
        self._file = os.open(file, os.O_RDONLY)  # kept open: opening costs more than reading
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")

    def busy_s(self) -> float:
        """Add up user, nice, system, irq and softirq; idle, iowait and stolen time are not busy."""
        user, nice, system, _, _, irq, softirq = os.pread(self._file, 256, 0).split(maxsplit=8)[1:8]
        return (int(user) + int(nice) + int(system) + int(irq) + int(softirq)) / self._ticks_per_s

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class PsutilCpu:
    """The same through psutil, where there is no /proc."""

    def busy_s(self) -> float:
        """Ask psutil."""
        times = psutil.cpu_times()
        return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))

    def close(self) -> None:
        """Do nothing: nothing is held open."""


def open_host_cpu() -> HostCpu:
    """Return the way to ask that this machine has."""
    return LinuxCpu() if PROC_STAT.is_file() else PsutilCpu()
