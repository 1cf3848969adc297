"""How many worker jobs there are to be, until when they are held, and who may read their settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from carbon_aware_trainer.errors import SlurmRefused
from carbon_aware_trainer.integrations.slurm import JobOptions, WorkerJobs, count_missing, hold
from carbon_aware_trainer.traces import HOUR, Forecast
from cli.slurm_commands import app

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def forecast(*g_per_kwh: float) -> Forecast:
    expected = np.array(g_per_kwh, dtype=np.float64)
    return Forecast(
        zone="DE",
        provider="cached",
        basis="average lifecycle",
        made_at=NOW,
        start=NOW,
        step=HOUR,
        g_per_kwh=expected,
        low=expected,
        high=expected,
        method="test",
    )


@pytest.mark.parametrize(
    ("demand", "most", "live", "missing"),
    [(0, 8, 0, 0), (3, 8, 0, 3), (20, 8, 0, 8), (20, 8, 5, 3), (3, 8, 3, 0), (1, 8, 5, 0), (20, 2, 5, 0)],
)
def test_there_are_never_more_jobs_than_allowed_nor_than_runs(
    demand: int, most: int, live: int, missing: int
) -> None:
    assert count_missing(demand=demand, most=most, live=live) == missing


def test_jobs_are_held_for_the_cleanest_hour_before_the_deadline() -> None:
    told, begin = hold(forecast(400, 300, 100, 50), work=HOUR, deadline=NOW + 3 * HOUR, now=NOW)

    assert begin == NOW + 2 * HOUR
    assert "100 g/kWh" in told.reason


def test_the_deadline_wins_over_a_cleaner_hour() -> None:
    assert hold(forecast(400, 300, 100, 50), work=HOUR, deadline=NOW + 1.5 * HOUR, now=NOW)[1] is None


@pytest.mark.parametrize("known", [None, forecast(400), forecast(100, 100, 100, 100)])
def test_an_unknown_or_an_even_grid_holds_nothing(known: Forecast | None) -> None:
    assert hold(known, work=2 * HOUR, deadline=NOW + timedelta(days=1), now=NOW)[1] is None


def test_only_what_was_given_is_asked_of_slurm() -> None:
    assert JobOptions().as_arguments() == []
    assert JobOptions(partition="gpu", gres="gpu:a100:1", cpus=8, time_limit="8:00:00").as_arguments() == [
        "--partition=gpu",
        "--gres=gpu:a100:1",
        "--cpus-per-task=8",
        "--time=8:00:00",
    ]


@pytest.mark.parametrize("name", ["", "a,b", "a b", "-x", "x" * 101])
def test_a_name_that_squeue_reads_otherwise_is_refused(name: str) -> None:
    with pytest.raises(SlurmRefused, match="no name for a job"):
        WorkerJobs(name)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_settings_that_others_can_read_are_refused_before_slurm_is_asked(tmp_path: Path, mode: int) -> None:
    (tmp_path / ".env").write_text("WATTLE_REDIS_URL=redis://worker:secret@store")
    (tmp_path / ".env").chmod(mode)

    ended = CliRunner().invoke(app, ["up", "--queue", "q", "--max", "1", "--folder", str(tmp_path)])

    assert ended.exit_code == 1
    assert f"chmod 600 {tmp_path}/.env" in ended.output
