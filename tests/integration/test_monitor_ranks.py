"""The Lightning callback in a training of two processes that work together, as Lightning starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.monitor_server import MonitorServer
from tests.programs import ROOT, wait_until
from training_monitor import TrainingMonitor

PATIENCE_S = 150
STEPS, ENDS = list(range(9)), [2, 5, 8]
Start = Callable[..., TrainingMonitor]


def train(mode: str, server: MonitorServer, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.endswith("RANK")},
        "WATTLE_API_URL": server.url,
        "WATTLE_SPOOL_DIR": str(folder / "spool"),
    }
    return subprocess.run(
        [sys.executable, "-m", "tests.monitor_ranks", mode],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_report_one_run_each_value_once(server: MonitorServer, tmp_path: Path) -> None:
    ran = train("whole", server, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epochs=3") == 2
    run = server.only_run
    logged = {name: [point[:2] for point in points] for name, points in run.points.items()}
    assert logged["own"] == [(step, 0.0) for step in STEPS], "of rank 0"
    assert logged["mean"] == [(step, 0.5) for step in STEPS], "of both"
    assert logged["epoch_mean"] == logged["val_mean"] == [(step, 0.5) for step in ENDS]
    assert [act for act, _ in run.acts] == ["params", "status"]
    assert run.acts[-1] == ("status", {"status": "done"})
    assert "Not logged" not in ran.stderr
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.slow
def test_a_cancel_stops_both_processes_together(server: MonitorServer, tmp_path: Path) -> None:
    ran = train("cancelled", server, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert [point[0] for point in server.only_run.points["own"]] == STEPS[:3], "at the end of an epoch"


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_ends_the_run_as_failed_and_holds_no_other_up(
    rank: int, server: MonitorServer, tmp_path: Path
) -> None:
    ran = train(f"fails-{rank}", server, tmp_path)
    assert ran.returncode != 0
    run = server.only_run
    assert [point[0] for point in run.points["own"]] == STEPS[:3]
    (end,) = (body for act, body in run.acts if act == "status")
    assert end["status"] == "failed"
    # Rank 0 hears of the other's end only that the connection has closed.
    assert rank == 1 or end["error"]["message"] == "Rank 0 fails."


def test_only_rank_0_reports_unless_all_are_to(
    start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", "1")
    monitor = start(strict=True, energy=True, system_metrics=True)
    monitor.log_metrics({"loss": 1.0}, 0)
    monitor.log_text("here")
    monitor.add_note("here")
    monitor.log_samples([], step=0, loss=1.0)
    monitor.end_epoch()
    assert (monitor.run_id, monitor.is_cancelled, monitor.finish()) == (None, False, True)
    assert (server.asked, caplog.text) == ([], "")

    each = start(all_ranks=True)
    each.log_metrics({"loss": 1.0}, 0)
    assert each.finish()
    wait_until(lambda: [point[:2] for point in server.only_run.points["loss"]] == [(0, 1.0)])
