"""The power of the memory modules where nothing measures it: a constant that depends on their size alone."""

from __future__ import annotations

import math
import platform

import psutil

from carbon_aware_trainer.records import Source

RAM = "ram"


def ram_source(constant_w: float) -> Source:
    """Describe the constant; it is shown apart, because nothing a run does changes it."""
    text = f"{constant_w:g} W for the memory modules of the whole machine, CodeCarbon's constant"
    return Source(RAM, "estimated", text, "a constant: not observed at all", 0.0, is_counted=False)


def read_ram_constant_w() -> float:
    """Return the constant for this machine."""
    is_arm = platform.machine().lower().startswith(("arm", "aarch"))
    return ram_constant_w(psutil.virtual_memory().total / 2**30, is_arm=is_arm)


def ram_constant_w(total_gib: float, *, is_arm: bool = False) -> float:
    """Return the power of the modules that a machine with so much memory probably has.

    5 W per module (1.5 W on ARM), every one above 4, 8 and 16 at 90, 80 and 70 % of that; at least two.
    Source: CodeCarbon 3.3, external/ram.py, RAM._calculate_ram_power.
    """
    modules = _estimate_modules(total_gib)
    steps = ((4, 1.0), (4, 0.9), (8, 0.8), (math.inf, 0.7))
    weighted, left = 0.0, float(modules)
    for most, weight in steps:
        weighted += weight * min(left, most)
        left = max(0.0, left - most)
    return (1.5 if is_arm else 5.0) * max(2.0, weighted)


def _estimate_modules(total_gib: float) -> int:
    """Source: CodeCarbon 3.3, external/ram.py, RAM._estimate_dimm_count."""
    for at_most_gib, modules in ((2, 1), (16, 2), (64, 4), (128, 8)):
        if total_gib <= at_most_gib:
            return modules
    largest_gib = next(size for size in (128, 64, 32, 16) if size <= total_gib / 8)
    return min(32, math.ceil(total_gib / largest_gib))
