"""Tests that share something costly stay together when they are spread over processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.programs import ROOT
from tests.scheduling import scope_of

FILES = (
    "browser/test_a.py",
    "browser/test_b.py",
    "fault/test_carbon_wishes.py",
    "fault/test_demo.py",
    "fault/test_other.py",
    "unit/test_c.py",
)
FOUR_TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_one(number):
    pass
"""


def processes_of_tests(folder: Path) -> dict[str, set[str]]:
    """Run all files with two processes, and return those of each file."""
    for name in FILES:
        path = folder / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FOUR_TESTS)
    command = ("-m", "pytest", "-v", "-p", "tests.scheduling", "-p", "no:cacheprovider", "--rootdir", ".")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(
        [sys.executable, *command, "--numprocesses", "2", "--import-mode", "importlib", "tests"],
        cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, set[str]] = defaultdict(set)
    for process, name in re.findall(r"\[(gw\d)\].* PASSED tests/(\S+)::", ended.stdout):
        found[name].add(process)
    return found


def test_what_shares_a_browser_a_port_or_a_module_runs_in_one_process(tmp_path: Path) -> None:
    found = processes_of_tests(tmp_path)
    assert found.keys() == set(FILES)
    assert len(found["browser/test_a.py"] | found["browser/test_b.py"]) == 1
    assert len(found["fault/test_carbon_wishes.py"]) == len(found["fault/test_demo.py"]) == 1
    assert len(found["unit/test_c.py"]) == 1


def test_slow_tests_that_share_nothing_may_run_in_different_processes() -> None:
    assert scope_of("tests/fault/test_resume.py::a[1]") != scope_of("tests/fault/test_resume.py::a[2]")
