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


class LinuxCpu:
    """The first line of /proc/stat, in ticks of 10 ms. Source: proc_stat(5)."""

    def __init__(self, file: Path = PROC_STAT) -> None:
        self._file = file
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")

    def busy_s(self) -> float:
        """Add up user, nice, system, irq and softirq; idle, iowait and stolen time are not busy."""
        with self._file.open("rb") as lines:
            ticks = [int(field) for field in lines.readline().split()[1:8]]
        return (sum(ticks[:3]) + sum(ticks[5:7])) / self._ticks_per_s


class PsutilCpu:
    """The same through psutil, where there is no /proc."""

    def busy_s(self) -> float:
        """Ask psutil."""
        times = psutil.cpu_times()
        return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def open_host_cpu() -> HostCpu:
    """Return the way to ask that this machine has."""
    return LinuxCpu() if PROC_STAT.is_file() else PsutilCpu()
