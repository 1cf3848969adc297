"""CPU energy where nothing measures it: the CPU time of a process tree times the power of a thread."""

from __future__ import annotations

import sys
import time

from carbon_aware_trainer.energy.hardware import ThreadPower
from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.energy.process_tree import (
    LinuxProcesses,
    ProcessTable,
    ProcessTree,
    PsutilProcesses,
)
from carbon_aware_trainer.records import Counter, Quality


class CpuTimeMeter:
    """CPU seconds of a process tree × TDP per logical core.

    The trees of one host together use at most all its threads, so together they are charged at most its TDP.
    """

    quality: Quality = "estimated"

    def __init__(
        self,
        root_pid: int,
        power: ThreadPower,
        *,
        processes: ProcessTable | None = None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        """Raises MeterUnavailable when there is no such process."""
        processes = processes or open_processes(root_pid)
        self.step_s = 0.001 if isinstance(processes, LinuxProcesses) else 0.01
        self.source = f"CPU time × TDP ({power.basis})"
        self._w_per_thread = power.w_per_thread
        self._clock = clock
        self._tree = ProcessTree(root_pid, processes, clock=clock)

    def read(self) -> Counter:
        """Read the CPU clocks of the tree."""
        return Counter(self._tree.cpu_s() * self._w_per_thread, self._clock())

    def close(self) -> None:
        """Do nothing: nothing is held open."""


def open_processes(root_pid: int) -> ProcessTable:
    """Return the cheapest way to read processes here; some sandboxes hide other processes' clocks."""
    linux = LinuxProcesses()
    if sys.platform == "linux" and linux.find(root_pid) and linux.find_cpu_s(root_pid) is not None:
        return linux
    return PsutilProcesses()
