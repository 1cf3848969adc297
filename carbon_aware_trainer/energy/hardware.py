"""Which CPU this is and what power it is built for."""

from __future__ import annotations

import csv
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from carbon_aware_trainer.codecarbon_data import CPU_POWERS, find_codecarbon_file

CPUINFO = Path("/proc/cpuinfo")

_MARKS = re.compile(r"\((?:r|tm|c)\)")
_DECORATION = re.compile(
    r"@.*$|\bw(?:ith\b|/).*$|\b\d+(?:st|nd|rd|th) gen\b|\b\d+-cores?\b|\b(?:cpu|processor|apu)\b"
)

# What CodeCarbon assumes of a CPU that is not in its table. Source: CodeCarbon 3.3, core/cpu.py,
# DEFAULT_POWER_PER_CORE, which it multiplies by the number of threads.
DEFAULT_W_PER_THREAD = 4.0


@dataclass(frozen=True, slots=True)
class Cpu:
    """What the operating system says about the CPU."""

    name: str  # "" when it does not say
    threads: int  # logical cores that this operating system sees
    sockets: int = 1
    is_virtual: bool = False


@dataclass(frozen=True, slots=True)
class ThreadPower:
    """The power one busy thread is charged with."""

    w_per_thread: float
    basis: str


def read_cpu(cpuinfo: Path = CPUINFO) -> Cpu:
    """Ask the operating system what the CPU is."""
    threads = os.cpu_count() or 1
    if cpuinfo.is_file():
        return parse_cpuinfo(cpuinfo.read_text(encoding="utf-8", errors="replace"), threads=threads)
    if platform.system() == "Darwin":
        question = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        asked = subprocess.run(question, capture_output=True, text=True, check=False)
        return Cpu(asked.stdout.strip(), threads)
    return Cpu(platform.processor(), threads)


def parse_cpuinfo(text: str, *, threads: int) -> Cpu:
    """Read the CPU out of the text of /proc/cpuinfo."""
    fields = re.findall(r"^([^\t:]+?)\s*:[ \t]*(.*)$", text, flags=re.MULTILINE)
    names = [value for key, value in fields if key == "model name"]
    sockets = {value for key, value in fields if key == "physical id"}
    flags = next((value for key, value in fields if key == "flags"), "")
    return Cpu(
        name=names[0] if names else "",
        threads=threads,
        sockets=len(sockets) or 1,
        is_virtual="hypervisor" in flags.split(),
    )


def thread_power(cpu: Cpu, *, table: Path | None = None) -> ThreadPower:
    """Return the thermal design power of the CPU per logical core, so that all cores together make the whole.

    A virtual machine may see a few threads of a large CPU; the share of the TDP is then taken as at most
    DEFAULT_W_PER_THREAD per thread. A CPU that is not in the table gets that constant as well.
    Source: CodeCarbon's cpu_power.csv, which ``table`` replaces.
    """
    table = table or find_codecarbon_file(CPU_POWERS)
    tdp_w = find_tdp_w(cpu.name, table) if table is not None else None
    name = cpu.name or "unnamed CPU"
    if tdp_w is None:
        why = "not in CodeCarbon's table" if table is not None else "CodeCarbon not installed"
        return ThreadPower(DEFAULT_W_PER_THREAD, f"{name}, {DEFAULT_W_PER_THREAD:g} W per thread: {why}")
    w_per_thread = tdp_w * cpu.sockets / cpu.threads
    if cpu.is_virtual and w_per_thread > DEFAULT_W_PER_THREAD:
        basis = f"{name}, a part of it in a virtual machine: {DEFAULT_W_PER_THREAD:g} W per thread"
        return ThreadPower(DEFAULT_W_PER_THREAD, basis)
    sockets = f"{cpu.sockets} × " if cpu.sockets > 1 else ""
    basis = f"{name}, {sockets}{tdp_w:g} W over {cpu.threads} threads, CodeCarbon's table"
    return ThreadPower(w_per_thread, basis)


def find_tdp_w(cpu_name: str, table: Path) -> float | None:
    """Return the TDP that the table gives a CPU of this name; None when it has none, or contradicts itself.

    Names count as equal when their words are, without marks, clock, cores and graphics: a near one would be a
    guess, since "Apple M1 Pro" is no "Apple M1".
    """
    words = _words(cpu_name)
    with table.open(encoding="utf-8", newline="") as rows:
        found = {row["TDP"] for row in csv.DictReader(rows) if words and _words(row["Name"]) == words}
    powers = {float(tdp) for tdp in found if re.fullmatch(r"\d+(\.\d+)?", tdp)}  # some read 27.29.5
    powers.discard(0.0)
    return powers.pop() if len(powers) == 1 else None


def _words(name: str) -> frozenset[str]:
    name = _MARKS.sub(" ", name.lower())
    return frozenset(_DECORATION.sub(" ", name).split())
