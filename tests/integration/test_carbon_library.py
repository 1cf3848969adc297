"""The library alone, on this machine: its hardware, CodeCarbon's files, its imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from carbon_aware_trainer.energy.hardware import read_cpu, thread_power
from carbon_aware_trainer.providers.static import country_intensity


def test_this_machines_cpu_gets_a_plausible_power() -> None:
    cpu = read_cpu()
    assert cpu.threads == os.cpu_count()
    assert 0.1 < thread_power(cpu).w_per_thread < 70


def test_codecarbons_own_file_has_the_default_country() -> None:
    intensity = country_intensity("USA")
    assert 200 < intensity.g_per_kwh < 600
    assert "CodeCarbon" in intensity.source


def test_importing_the_library_loads_nothing_heavy() -> None:
    heavy = "codecarbon pynvml torch pydantic numpy pandas httpx"
    program = (
        "import sys, carbon_aware_trainer, carbon_aware_trainer.energy, carbon_aware_trainer.providers\n"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    asked = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == "[]"
