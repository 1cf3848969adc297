"""The worked example of sharing in docs/methods.md, through the real meters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from carbon_aware_trainer import energy_kwh
from carbon_aware_trainer.energy.rapl import RaplMeter
from carbon_aware_trainer.energy.sharing import Observed, Sharing
from tests.fake_hardware import RANGE_UJ, FakeClock, write_domain

METHODS = Path(__file__).parents[2] / "docs" / "methods.md"
A, B = 1, 2
approx: Any = pytest.approx


@pytest.fixture(scope="module")
def example() -> dict[str, float]:
    section = (
        METHODS.read_text(encoding="utf-8").split("### A worked example of sharing")[1].split("\n## ")[0]
    )
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([0-9.e-]+) \|$", section, flags=re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_the_worked_example_of_sharing_adds_up(example: dict[str, float], tmp_path: Path) -> None:
    clock = FakeClock()
    assert example["max_energy_range_uj"] == RANGE_UJ
    write_domain(tmp_path, "intel-rapl:0", "package-0", int(example["package_start_uj"]))
    meter = RaplMeter(tmp_path, clock=clock)
    sharing, trained = Sharing(), {"GPU-a": frozenset({A, B})}
    start = meter.read()
    sharing.advance(Observed(clock(), {**start.joules, "GPU-a": 0.0}, start.lost, 0, {A: 0, B: 0}, trained))

    clock.advance(10)
    write_domain(tmp_path, "intel-rapl:0", "package-0", int(example["package_end_uj"]))
    end = meter.read()
    joules = {**end.joules, "GPU-a": example["gpu_j"]}
    tree_s = {A: example["a_cpu_s"], B: example["b_cpu_s"]}
    shares = sharing.advance(Observed(clock(), joules, end.lost, example["busy_s"], tree_s, trained))

    assert shares.host["cpu"] == approx(example["package_j"])
    assert shares.own[A]["cpu"] == approx(example["a_cpu_j"])
    assert shares.own[B]["cpu"] == approx(example["b_cpu_j"])
    assert shares.own[A]["GPU-a"] == approx(example["a_gpu_j"])
    kwh = energy_kwh(sum(shares.own[A].values())) * example["pue"]
    assert kwh == approx(example["a_energy_kwh"], rel=1e-5)
