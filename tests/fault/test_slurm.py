"""Worker jobs on a real Slurm cluster of one node."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from carbon_aware_trainer.integrations.slurm import JobOptions, WorkerJobs
from cli.redis_server import RedisServer
from cli.slurm_commands import app
from redis_db import RedisDB
from schema import RunOptions, Status
from tests.live import LiveBackend
from tests.programs import PLUGIN, Programs, wait_until
from tests.slurm_cluster import REMEDY, NotStarted, SlurmCluster, is_installed

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not is_installed(), reason=REMEDY)]

QUEUE = RunOptions(queue="gpu-a100")
SECRET = "in-no-environment"  # noqa: S105 - a word to look for


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    # Not pytest's tmp_path: munge's socket is a unix socket, whose path may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="wattle-slurm-") as folder:
        started = SlurmCluster(Path(folder))
        try:
            started.start()
            yield started
            started.end_jobs()
        except NotStarted as error:
            pytest.skip(str(error))
        finally:
            started.stop()


class Commands:
    """``wattle slurm`` on a login node of the cluster, and the folder in which the jobs work."""

    def __init__(self, cluster: SlurmCluster, folder: Path, redis_url: str, api_port: int) -> None:
        self._folder = folder
        self._environment = {
            **cluster.environment,
            "WATTLE_API_URL": f"http://127.0.0.1:{api_port}",
            "WATTLE_REDIS_URL": f"redis://user:{SECRET}@nowhere",
        }
        folder.mkdir()
        settings = folder / ".env"
        settings.write_text(
            f"WATTLE_REDIS_URL={redis_url}\nWATTLE_DATA_DIR={folder}/data\nWATTLE_CODECARBON=false\n"
            f"WATTLE_ENERGY_DIR={folder}/energy\n"
        )
        settings.chmod(0o600)
        self.python = folder / "python"
        self.python.write_text(
            f'#!/bin/sh\nenv > "{folder}/env.$SLURM_JOB_ID"\n'
            f'PYTHONPATH="{PLUGIN}" OMP_NUM_THREADS=1 exec "{sys.executable}" "$@"\n'
        )
        self.python.chmod(0o755)

    def __call__(self, command: str, *arguments: str) -> Any:
        asked = [command, "--queue", "gpu-a100", *arguments, "--json"]
        ended = CliRunner().invoke(app, asked, env=self._environment)
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)

    def up(self, most: int, *more: str) -> Any:
        place = ("--folder", str(self._folder), "--python", str(self.python))
        return self("up", "--max", str(most), *place, *more)

    def output(self) -> str:
        return "\n".join(path.read_text() for path in self._folder.glob("slurm-*.log"))

    def environments(self) -> str:
        return "\n".join(path.read_text() for path in self._folder.glob("env.*"))


def clean_from(*, in_hours: int) -> dict[str, list[dict[str, object]]]:
    """A zone that is dirty for some hours, and then clean."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    points: list[dict[str, object]] = [
        {
            "timestamp": (hour + timedelta(hours=after)).isoformat(),
            "carbon_intensity": 400.0 if after < in_hours else 50.0,
        }
        for after in range(-48, 24)
    ]
    return {"historical": points, "forecast": points}


@pytest.fixture
def slurm(
    cluster: SlurmCluster, programs: Programs, durable_redis: RedisServer, tmp_path: Path
) -> Iterator[Commands]:
    grid = tmp_path / "grid.json"
    grid.write_text(json.dumps({"regions": {"DE": clean_from(in_hours=4)}}))
    with LiveBackend(programs, carbon_model="cached", carbon_file=grid) as backend:
        yield Commands(cluster, tmp_path / "jobs", durable_redis.url, backend.port)


def submit(store: RedisDB, tmp_path: Path, **hyper_params: Any) -> str:
    return store.queue.submit(hyper_params, QUEUE).run_id


def test_jobs_come_for_the_runs_of_a_queue_up_to_the_most_train_them_and_end(
    slurm: Commands, store: RedisDB, tmp_path: Path
) -> None:
    assert slurm.up(2)["submitted"] == 0
    runs = [submit(store, tmp_path, trainer="demo", num_epochs=3, seed=seed) for seed in range(3)]

    first, again = slurm.up(2), slurm.up(2)

    assert (first["demand"], first["submitted"]) == (3, 2)
    assert again["jobs"] + again["submitted"] <= 2
    wait_until(
        lambda: all(store.runs.get(run).status is Status.DONE for run in runs),
        every_s=0.2,
        what=slurm.output(),
    )
    wait_until(lambda: slurm("status")["jobs"] == [], every_s=0.5, what=slurm.output())
    assert slurm("status")["demand"] == 0
    assert "SLURM_JOB_ID" in slurm.environments()
    assert SECRET not in slurm.environments()


def test_each_job_that_is_held_until_a_time_counts_though_slurm_shows_them_as_one(
    cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    jobs = WorkerJobs("held")

    jobs.submit(
        3, ["true"], folder=tmp_path, options=JobOptions(), begin=datetime.now(UTC) + timedelta(hours=2)
    )

    assert [job.state for job in jobs.list_live()] == ["PENDING"] * 3
    assert WorkerJobs("held", name="another").list_live() == []
    assert jobs.cancel() == 3
    wait_until(lambda: not jobs.list_live(), every_s=0.2)


def test_jobs_are_held_for_the_clean_hours_that_the_api_expects(
    slurm: Commands, cluster: SlurmCluster, store: RedisDB, tmp_path: Path
) -> None:
    submit(store, tmp_path, trainer="sleepy", num_epochs=100, epoch_s=30)

    held = slurm.up(1, "--zone", "DE", "--work-h", "1", "--within-h", "10")

    begin = datetime.fromisoformat(held["begin"])
    assert timedelta(hours=2) < begin - datetime.now(UTC) <= timedelta(hours=4)
    asked = f"StartTime={begin.astimezone():%Y-%m-%dT%H:%M:%S}"
    assert asked in cluster.call("scontrol", "show", "job", held["job"])
    assert "50 g/kWh" in held["reason"]
    assert slurm("down")["ended"] == 1
    wait_until(lambda: slurm("status")["jobs"] == [], every_s=0.5)


def test_ahead_of_its_time_limit_a_job_puts_its_run_back_and_waits_again_until_it_is_taken_down(
    slurm: Commands, cluster: SlurmCluster, store: RedisDB, tmp_path: Path
) -> None:
    run = submit(store, tmp_path, trainer="sleepy", num_epochs=100, epoch_s=30)
    job = slurm.up(1)["job"]
    wait_until(lambda: store.runs.get(run).status is Status.RUNNING, every_s=0.2, what=slurm.output())
    wait_until(lambda: store.runs.list_attempts(run), every_s=0.2)

    # What Slurm sends by itself --signal seconds ahead, to the batch script alone.
    cluster.call("scancel", "--batch", "--signal=USR1", f"{job}_0")

    wait_until(lambda: store.runs.get(run).status is Status.WAITING, every_s=0.2, what=slurm.output())
    wait_until(lambda: [each["state"] for each in slurm("status")["jobs"]] == ["PENDING"], every_s=0.5)
    assert "Restarts=1" in cluster.call("scontrol", "show", "job", f"{job}_0")
    assert store.runs.get(run).lease_losses == store.runs.get(run).failures == 0
    assert slurm.up(1)["submitted"] == 0

    assert slurm("down")["ended"] == 1
    wait_until(lambda: slurm("status")["jobs"] == [], every_s=0.5)


def test_a_job_that_is_taken_down_puts_its_run_back_and_does_not_wait_again(
    slurm: Commands, cluster: SlurmCluster, store: RedisDB, tmp_path: Path
) -> None:
    run = submit(store, tmp_path, trainer="sleepy", num_epochs=100, epoch_s=30)
    job = slurm.up(1)["job"]
    wait_until(lambda: store.runs.get(run).status is Status.RUNNING, every_s=0.2, what=slurm.output())

    assert slurm("down")["ended"] == 1

    wait_until(lambda: store.runs.get(run).status is Status.WAITING, every_s=0.2, what=slurm.output())
    wait_until(lambda: slurm("status")["jobs"] == [], every_s=0.5)
    # Only now no script of it is left that could ask for it again.
    wait_until(
        lambda: "JobState=CANCELLED" in cluster.call("scontrol", "show", "job", f"{job}_0"), every_s=0.5
    )
    assert "Restarts=0" in cluster.call("scontrol", "show", "job", f"{job}_0")
    assert store.runs.get(run).lease_losses == 0
