"""What docs/carbon.md shows is run and looked up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from carbon_aware_trainer.providers.choose import MODELS
from carbon_aware_trainer.providers.zones import PROVIDERS, get_zone

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "carbon.md").read_text("utf-8")
ZONES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| `[A-Z]{2}[^|]*\|( [\w–-]+ \|){4}$", line)
]


def test_its_programs_run_one_after_the_other(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    program = "\n".join(blocks)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "US-CA" in ran.stdout
    assert "saved" in ran.stdout


@pytest.mark.parametrize("row", ZONES, ids=lambda row: row[0])
def test_its_zones_are_those_of_the_table(row: list[str]) -> None:
    for name in re.findall(r"`([^`]+)`", row[0]):
        theirs = [get_zone(name).at.get(provider, "–") for provider in PROVIDERS]
        assert theirs == row[1:]


def test_it_has_every_model_and_zones() -> None:
    assert all(f"| `{model}`" in PAGE for model in MODELS)
    assert len(ZONES) == 11
