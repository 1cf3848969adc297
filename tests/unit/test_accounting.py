"""The formulas, with the numbers of the worked example in docs/methods.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carbon_aware_trainer import Intensity, Reading, co2_g, energy_kwh
from carbon_aware_trainer.energy.hardware import Cpu, thread_power
from carbon_aware_trainer.energy.history import History
from carbon_aware_trainer.records import Counter

METHODS = Path(__file__).parents[2] / "docs" / "methods.md"


@pytest.fixture(scope="module")
def example() -> dict[str, float]:
    """The rows of the worked example, by the name in their first column."""
    section = METHODS.read_text(encoding="utf-8").split("## Worked example")[1]
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([0-9.e-]+) \|$", section, flags=re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_a_kwh_is_3600000_joules() -> None:
    assert energy_kwh(3.6e6) == 1
    assert energy_kwh(7.2e6) == 2


def test_unknown_energy_stays_unknown() -> None:
    reading = Reading(10.0, reason="no meter")
    assert (reading.energy_j, reading.power_w, reading.window_epochs) == (None, None, None)


def test_the_worked_example_of_the_docs_adds_up(example: dict[str, float], tmp_path: Path) -> None:
    table = tmp_path / "cpu_power.csv"
    table.write_text(f"Name,TDP\nAMD EPYC 7763,{example['tdp_w']}\n")
    cpu = Cpu("AMD EPYC 7763 64-Core Processor", threads=int(example["threads"]))
    w_per_thread = thread_power(cpu, table=table).w_per_thread
    cpu_j = w_per_thread * example["cpu_s"]
    gpu_j = (example["gpu_end_mj"] - example["gpu_start_mj"]) / 1e3
    intensity = Intensity("USA", example["intensity_g_per_kwh"], "static", "average", 2023, "a test")
    kwh = energy_kwh(cpu_j + gpu_j)
    assert w_per_thread == pytest.approx(example["w_per_thread"])
    assert cpu_j == pytest.approx(example["cpu_j"], rel=1e-4)
    assert gpu_j == pytest.approx(example["gpu_j"])
    assert kwh == pytest.approx(example["energy_kwh"], rel=1e-4)
    assert co2_g(kwh, intensity) == pytest.approx(example["co2_g"], rel=1e-3)


def test_the_short_epoch_of_the_docs_gets_its_share(example: dict[str, float]) -> None:
    history = History()
    for at_s, joules in ((0.0, 0.0), (0.1, example["step_j"])):
        history.add(Counter(joules, round(at_s * 1e9)))
    end_ns = round((0.02 + example["short_epoch_s"]) * 1e9)
    span = history.between(round(0.02 * 1e9), end_ns)
    reading = Reading(example["short_epoch_s"], span.joules, "measured", window_s=span.window_s)
    assert reading.energy_j == pytest.approx(example["short_epoch_j"])
    assert reading.window_epochs == example["energy_window_epochs"]
