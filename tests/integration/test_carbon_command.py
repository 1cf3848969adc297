"""The program carbon-aware as a process: what it waits for, and what it becomes."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carbon_aware_trainer.commands import waiting
from carbon_aware_trainer.commands.asked import Asked
from carbon_aware_trainer.commands.main import parser
from tests.carbon_parts import HOUR, START, Clock, write_grid

ROOT = Path(__file__).parents[2]
# clean from 18 to 4 h every day
VALUES: list[float | None] = [100.0 if 6 <= i % 24 < 16 else 300.0 for i in range(24 * 42)]


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "carbon_aware_trainer.commands.main", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Whoever starts the tests in the background has it ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def file_of(path: Path, g_per_kwh: float) -> str:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return write_grid(path / "grid.json", [g_per_kwh] * 4, start=now - timedelta(hours=1))


def asked_of(*words: str, clock: Clock) -> Asked:
    parsed: argparse.Namespace = parser().parse_args(["wait", *words, "--", "true"])
    return Asked.of(parsed, {}, clock)


def test_a_clean_grid_lets_the_command_run_at_once_with_its_own_status(tmp_path: Path) -> None:
    words = ["--zone", "US-CA", "--file", file_of(tmp_path, 90.0), "--threshold", "100"]
    process = start("wait", *words, "--", "sh", "-c", "echo ran --json; exit 7")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "ran --json\n")
    assert err == "carbon-aware: running: 90 g/kWh is at most the threshold of 100.\n"


def test_a_dirty_grid_holds_the_command_back_until_it_is_clean(tmp_path: Path) -> None:
    file = file_of(tmp_path, 200.0)
    words = ["--zone", "US-CA", "--file", file, "--threshold", "100", "--check-interval", "0.05"]
    process = start("wait", *words, "--", "echo", "ran")
    assert process.stderr is not None
    assert process.stderr.readline() == "carbon-aware: waiting: 200 g/kWh is above the threshold of 100.\n"
    os.utime(file_of(tmp_path, 50.0), (1, 1))  # another time, whatever the clock's resolution
    out, err = process.communicate(timeout=60)
    assert out == "ran\n"
    assert "running: 50 g/kWh" in err


def test_who_interrupts_the_waiting_runs_nothing(tmp_path: Path) -> None:
    words = ["--zone", "US-CA", "--file", file_of(tmp_path, 200.0), "--threshold", "100"]
    process = start("wait", *words, "--", "echo", "ran")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")


def test_a_command_that_is_not_there_is_said(tmp_path: Path) -> None:
    words = ["--zone", "US-CA", "--file", file_of(tmp_path, 90.0), "--threshold", "100"]
    process = start("wait", *words, "--", "no-such-command")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no-such-command cannot be run: No such file or directory." in err


def test_without_data_it_runs_at_once_and_says_why(tmp_path: Path) -> None:
    old = write_grid(tmp_path / "old.json", [200.0])
    process = start("wait", "--zone", "US-CA", "--file", old, "--threshold", "100", "--", "echo", "ran")
    out, err = process.communicate(timeout=60)
    assert out == "ran\n"
    assert "The intensity is not known. It runs now." in err


@pytest.mark.parametrize(
    ("words", "waited"),
    [
        (["--duration", "4", "--within", "24"], 6 * HOUR),
        (["--duration", "4", "--within", "8"], 4 * HOUR),  # the deadline wins
        (["--threshold", "150"], 6 * HOUR),
        (["--threshold", "50", "--within", "3"], 3 * HOUR),
        ([], 6 * HOUR),  # a percentile of the zone's own past
    ],
)
def test_it_waits_for_the_cleanest_window_or_a_threshold_but_never_too_long(
    tmp_path: Path, words: list[str], waited: timedelta
) -> None:
    clock = Clock()
    file = write_grid(tmp_path / "grid.json", VALUES, start=START - timedelta(days=40))
    waiting.until_clean(asked_of("--zone", "US-CA", "--file", file, *words, clock=clock))
    assert clock.now() - START == waited
