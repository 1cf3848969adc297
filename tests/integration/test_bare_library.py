"""The library with nothing installed but what it says it needs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import carbon_aware_trainer

HTTPX = ("httpx", "httpcore", "h11", "anyio", "idna", "certifi", "typing_extensions")
NUMPY = ("numpy",)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    own = Path(str(carbon_aware_trainer.__file__)).parent
    (tmp_path / "site" / own.name).symlink_to(own)
    (tmp_path / "DE.csv").write_text("datetime,carbon_intensity\n2026-06-01T12:00Z,300\n")
    (tmp_path / "DE.parquet").write_bytes(b"")
    return tmp_path


def run(place: Path, program: str, *distributions: str) -> str:
    """Run a program that sees the standard library, this library and these distributions only."""
    for name in distributions:
        files = distribution(name).files or ()
        tops = {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            (place / "site" / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    ran = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", program], cwd=place,
        env={"PYTHONPATH": str(place / "site")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


MISSING = """
try:
    {call}
except carbon_aware_trainer.CarbonError as err:
    print(type(err).__name__, err)
"""


def test_the_import_needs_nothing_and_the_rest_httpx_and_numpy(place: Path) -> None:
    program = """
import asyncio, sys
from datetime import UTC, datetime
import carbon_aware_trainer
from carbon_aware_trainer import CarbonMonitor, open_provider
provider = open_provider("cached", api_key="DE.csv", now=lambda: datetime(2026, 6, 1, 12, 5, tzinfo=UTC))
monitor = CarbonMonitor(["DE"], provider=provider)
print(monitor.get_current_intensity().g_per_kwh, asyncio.run(monitor.aget_current_intensity()).g_per_kwh)
open_provider("electricitymaps", api_key="k"), open_provider("uk"), open_provider("watttime", api_key="a:b")
"""
    assert run(place, program, *HTTPX, *NUMPY) == "300.0 300.0"


def test_without_numpy_the_import_works_and_the_extra_is_named(place: Path) -> None:
    program = "import carbon_aware_trainer, carbon_aware_trainer.energy, carbon_aware_trainer.providers"
    call = "from carbon_aware_trainer import open_provider"
    said = run(place, program + MISSING.format(call=call), *HTTPX, "psutil")
    assert said == 'ExtraMissing open_provider needs numpy. Run: pip install "wattle[carbon]"'


def test_without_pyarrow_a_parquet_file_names_the_extra(place: Path) -> None:
    program = "import carbon_aware_trainer\nfrom carbon_aware_trainer.providers import open_provider"
    call = "open_provider('cached', api_key='DE.parquet')"
    said = run(place, program + MISSING.format(call=call), *HTTPX, *NUMPY)
    assert said.startswith('ExtraMissing Parquet files need pyarrow. Run: pip install "wattle[parquet]"')
