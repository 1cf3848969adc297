"""Scripts that end without saying so: the run ends as they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.monitor_server import MonitorServer
from tests.programs import ROOT

BEGIN = """
from training_monitor import TrainingMonitor
monitor = TrainingMonitor("forgetful")
for step in range(1000):
    monitor.log_metrics({"loss": step}, step)
"""


def run(code: str, server: MonitorServer, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WATTLE_API_URL": server.url, "WATTLE_SPOOL_DIR": str(folder / "spool")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BEGIN + code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [("", "done", 0), ("1 / 0", "failed", 1), ("raise KeyboardInterrupt", "cancelled", -2)],
)
def test_the_run_of_a_script_that_just_ends_ends_as_it_did(
    code: str, status: str, exit_code: int, server: MonitorServer, tmp_path: Path
) -> None:
    ran = run(code, server, tmp_path)
    assert ran.returncode == exit_code
    assert "training_monitor" not in ran.stderr.replace("from training_monitor", "")
    run_of_it = server.only_run
    assert [point[0] for point in run_of_it.points["loss"]] == list(range(1_000))
    (end,) = (body for act, body in run_of_it.acts if act == "status")
    assert end["status"] == status
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_script_ends_in_time_when_the_server_is_away_and_says_where_its_points_are(
    server: MonitorServer, tmp_path: Path
) -> None:
    server.stop()
    ran = run("monitor.finish(timeout_s=0.5)", server, tmp_path)
    assert ran.returncode == 0
    assert "python -m training_monitor replay" in ran.stderr
    assert str(tmp_path / "spool") in ran.stderr
    assert len(list((tmp_path / "spool").iterdir())) == 1
