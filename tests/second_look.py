"""Run the tests; where a few failed beside others, run those again alone, and say aloud what came of it.

Start it with ``python -m tests.second_look tests``. See docs/decisions/069.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

# As many processes as the variable TEST_PROCESSES says.
PROCESSES: Final = "2"
# More than these have not met a busy machine, but a fault.
MOST: Final = 3
_OPTION: Final = "--outcomes"
# What a test leaves behind, or takes the whole process along with, is not for want of time.
_LOOKED_AT_AGAIN: Final = ("setup", "call")


class Outcome(NamedTuple):
    """How one part of a test ended."""

    nodeid: str
    when: str
    outcome: str


def main(paths: Sequence[str]) -> int:
    """Return pytest's exit code; 0 also when all that failed, a few tests, passed alone."""
    code, outcomes = _run("--numprocesses", os.environ.get("TEST_PROCESSES", PROCESSES), *paths)
    bad = [outcome for outcome in outcomes if outcome.outcome == "failed"]
    failed = sorted({outcome.nodeid for outcome in bad})
    if code != pytest.ExitCode.TESTS_FAILED or not failed:
        return code
    if len(failed) > MOST or any(outcome.when not in _LOOKED_AT_AGAIN for outcome in bad):
        return code
    _say("A second look: run again, one after another and nothing beside them", failed)
    _, outcomes = _run(*failed)
    passed = _passed(outcomes)
    _say("failed beside others, failed alone", [name for name in failed if name not in passed])
    _say("failed beside others, passed alone", [name for name in failed if name in passed])
    return 0 if passed.issuperset(failed) else code


def _passed(outcomes: Sequence[Outcome]) -> set[str]:
    """Return the tests that ran and passed, to the end of their teardown."""
    bad = {outcome.nodeid for outcome in outcomes if outcome.outcome == "failed"}
    return {nodeid for nodeid, when, word in outcomes if (when, word) == ("call", "passed")} - bad


def _run(*arguments: str) -> tuple[int, list[Outcome]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes"
        path.touch()
        command = [sys.executable, "-m", "pytest", "-p", "tests.second_look", _OPTION, str(path), *arguments]
        with subprocess.Popen(command) as process:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                code = process.wait()  # it was interrupted too, and says so
        lines = path.read_text().splitlines()
    return code, [Outcome(*json.loads(line)) for line in lines]


def _say(what: str, names: Sequence[str]) -> None:
    for name in names:
        print(f"### {what}: {name}", flush=True)


class _Writer:
    """Notes each outcome at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = Outcome(report.nodeid, report.when or "", report.outcome)
        with self._path.open("a") as lines:
            lines.write(f"{json.dumps(outcome)}\n")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take where the outcomes go."""
    parser.addoption(_OPTION, type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Note outcomes in the process that hears of all."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(config.getoption("outcomes")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
