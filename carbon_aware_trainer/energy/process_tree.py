"""The CPU seconds of a process and all its descendants, the dead ones included."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.errors import MeterUnavailable

_REFRESH_S = 1.0


class ProcessFacts(NamedTuple):
    """What the operating system says about one process."""

    parent: int
    started: float  # with the pid it names the process for ever
    reaped_s: float  # CPU time of its dead children that it has waited for, and theirs


class ProcessTable(Protocol):
    """The operating system's processes."""

    def list_pids(self) -> Iterator[int]:
        """Return the pids of all processes."""

    def find(self, pid: int) -> ProcessFacts | None:
        """Return the facts of a process; None when it is gone."""

    def find_cpu_s(self, pid: int) -> float | None:
        """Return the CPU time of a process, all its threads; None when it is gone."""


class LinuxProcesses:
    """Processes through /proc and their CPU clocks: nanoseconds, and ten times cheaper than psutil."""

    _TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

    def list_pids(self) -> Iterator[int]:
        """Return the pids of all processes."""
        names = os.listdir("/proc")  # noqa: PTH208 - read every second; a Path per process costs more than the list
        return (int(name) for name in names if name.isdecimal())

    def find(self, pid: int) -> ProcessFacts | None:
        """Read /proc/<pid>/stat. Source: proc_pid_stat(5), fields 4, 16, 17 and 22."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # gone, or hidden by hidepid
            return None
        fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
        reaped_ticks = int(fields[13]) + int(fields[14])
        return ProcessFacts(int(fields[1]), float(fields[19]), reaped_ticks / self._TICKS_PER_S)

    def find_cpu_s(self, pid: int) -> float | None:
        """Read the process's CPU clock. Source: clock_getcpuclockid(3); its id is (~pid << 3) | 2."""
        try:
            return time.clock_gettime((~pid << 3) | 2)
        except OSError:
            return None


class PsutilProcesses:
    """Processes through psutil, where there is no /proc; 10 ms ticks."""

    def list_pids(self) -> Iterator[int]:
        """Return the pids of all processes."""
        return iter(psutil.pids())

    def find(self, pid: int) -> ProcessFacts | None:
        """Ask psutil. The time of dead children is 0 where the operating system does not tell it."""
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            reaped_s = times.children_user + times.children_system
            return ProcessFacts(process.ppid(), process.create_time(), reaped_s)
        except psutil.Error:
            return None

    def find_cpu_s(self, pid: int) -> float | None:
        """Ask psutil."""
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            return None
        return float(times.user + times.system)


def open_processes(root_pid: int) -> ProcessTable:
    """Return the cheapest way to read processes here; some sandboxes hide other processes' clocks."""
    linux = LinuxProcesses()
    if sys.platform == "linux" and linux.find(root_pid) and linux.find_cpu_s(root_pid) is not None:
        return linux
    return PsutilProcesses()


class _Member:
    """A process of the tree, and how much of its time has been counted."""

    def __init__(self, facts: ProcessFacts, cpu_s: float) -> None:
        self.parent = facts.parent
        self.started = facts.started
        self.cpu_s = cpu_s
        self.reaped_s = facts.reaped_s
        # time of dead children that was counted while they lived; their reaping will show it again
        self.owed_s = 0.0


class ProcessTree:
    """The CPU seconds of the tree under ``root_pid`` since this was made. Never decreases.

    The tree is looked through once a second; a process found late is still counted from its start.
    """

    def __init__(self, root_pid: int, processes: ProcessTable, *, clock: Clock = time.monotonic_ns) -> None:
        """Raises MeterUnavailable when there is no such process."""
        self._root_pid = root_pid
        self._processes = processes
        self._clock = clock
        self._members: dict[int, _Member] = {}
        self._seen: set[int] = set()
        self._add(root_pid)
        if not self._members:
            raise MeterUnavailable(f"There is no process {root_pid} whose CPU time could be read.")
        self._find_new_members()
        self._total_s = 0.0
        self._refreshed_ns = clock()

    def cpu_s(self) -> float:
        """Return the CPU seconds so far. Raises MeterUnavailable when the root process is gone."""
        for pid in list(self._members):
            self._advance(pid)
        if self._clock() - self._refreshed_ns >= _REFRESH_S * 1e9:
            self._refresh()
        if self._root_pid not in self._members:
            raise MeterUnavailable(f"Process {self._root_pid}, whose CPU time was read, is gone.")
        return self._total_s

    def _advance(self, pid: int) -> None:
        member = self._members[pid]
        cpu_s = self._processes.find_cpu_s(pid)
        if cpu_s is not None and cpu_s > member.cpu_s:
            self._total_s += cpu_s - member.cpu_s
            member.cpu_s = cpu_s

    def _refresh(self) -> None:
        """Find new members and count what the members' dead children used."""
        self._refreshed_ns = self._clock()
        # parents come before their children here, so a child that is gone below was alive when its parent was
        # read, or its parent already shows its time: never both
        facts_of = {pid: self._processes.find(pid) for pid in self._members}
        for pid, facts in reversed(facts_of.items()):  # children first: a dead parent passes on what they owe
            if facts is None or facts.started != self._members[pid].started:
                self._remove(pid)
        for pid, member in self._members.items():
            self._count_reaped(member, facts_of[pid])
        for pid in self._find_new_members():
            self._total_s += self._members[pid].cpu_s + self._members[pid].reaped_s

    def _remove(self, pid: int) -> None:
        member = self._members.pop(pid)
        self._seen.discard(pid)
        if (parent := self._members.get(member.parent)) is not None:
            parent.owed_s += member.cpu_s + member.reaped_s + member.owed_s

    def _count_reaped(self, member: _Member, facts: ProcessFacts | None) -> None:
        if facts is None:
            return
        fresh_s, member.reaped_s = max(0.0, facts.reaped_s - member.reaped_s), facts.reaped_s
        paid_s = min(fresh_s, member.owed_s)
        member.owed_s -= paid_s
        self._total_s += fresh_s - paid_s

    def _find_new_members(self) -> list[int]:
        """Add the descendants among the processes that were not there at the last look; return their pids."""
        pids = set(self._processes.list_pids())
        facts_of = {pid: self._processes.find(pid) for pid in pids - self._seen}
        parents = {pid: facts.parent for pid, facts in facts_of.items() if facts is not None}
        self._seen = pids
        added: list[int] = []
        while found := [pid for pid, parent in parents.items() if parent in self._members]:
            for pid in found:
                del parents[pid]
                if pid not in self._members and self._add(pid):
                    added.append(pid)
        return added

    def _add(self, pid: int) -> bool:
        facts, cpu_s = self._processes.find(pid), self._processes.find_cpu_s(pid)
        if facts is None or cpu_s is None:
            return False
        self._members[pid] = _Member(facts, cpu_s)
        return True
