"""What make test does with tests that fail: real pytest runs of a test file of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

pytestmark = pytest.mark.slow

# Fails where other processes run tests beside it.
BUSY = "def test_busy():\n    assert 'PYTEST_XDIST_WORKER' not in os.environ\n"
WRONG = "def test_wrong():\n    assert False\n"
FINE = "def test_fine():\n    pass\n"
MESSY = """@pytest.fixture
def mess():
    yield
    assert 'PYTEST_XDIST_WORKER' not in os.environ

def test_messy(mess):
    pass
"""
GONE = "def test_gone():\n    if 'PYTEST_XDIST_WORKER' in os.environ:\n        os._exit(3)\n"
SHY = "def test_shy():\n    assert 'PYTEST_XDIST_WORKER' not in os.environ\n    pytest.skip()\n"
STOPPED = "def test_stopped():\n    if 'PYTEST_XDIST_WORKER' in os.environ:\n        pytest.exit('enough')\n"


def look(folder: Path, *tests: str, path: str = "test_it.py") -> tuple[int, list[str], int]:
    """Return the exit code, what was said, and how often pytest was started."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text("import os\n\nimport pytest\n\n\n" + "\n\n".join(tests))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.second_look", path],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line.removeprefix("### ") for line in done.stdout.splitlines() if line.startswith("### ")]
    return done.returncode, said, done.stdout.count("test session starts")


def test_what_passes_alone_is_named_and_the_run_is_green(tmp_path: Path) -> None:
    code, said, runs = look(tmp_path, FINE, BUSY)
    assert (code, runs) == (0, 2)
    assert said[-1] == "failed beside others, passed alone: test_it.py::test_busy"


def test_what_fails_again_or_does_not_run_again_is_red_and_each_is_named(tmp_path: Path) -> None:
    code, said, runs = look(tmp_path, FINE, BUSY, WRONG, SHY)
    assert (code, runs) == (1, 2)
    assert said[-3:] == [
        "failed beside others, failed alone: test_it.py::test_shy",
        "failed beside others, failed alone: test_it.py::test_wrong",
        "failed beside others, passed alone: test_it.py::test_busy",
    ]


def test_many_failures_are_a_fault_and_get_no_second_look(tmp_path: Path) -> None:
    assert look(tmp_path, *(BUSY.replace("busy", f"busy_{place}") for place in range(4))) == (1, [], 1)


@pytest.mark.parametrize("test", [MESSY, GONE], ids=["leaves something behind", "takes its process along"])
def test_what_is_not_for_want_of_time_gets_no_second_look(tmp_path: Path, test: str) -> None:
    assert look(tmp_path, FINE, test) == (1, [], 1)


def test_an_interrupted_run_is_not_looked_at_again(tmp_path: Path) -> None:
    code, said, runs = look(tmp_path, WRONG, STOPPED)
    assert (code, said, runs) == (2, [], 1)


def test_a_run_that_cannot_begin_is_not_looked_at_again(tmp_path: Path) -> None:
    assert look(tmp_path, FINE, path="--no-such-option") == (4, [], 0)
