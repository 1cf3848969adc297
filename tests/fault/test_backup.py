"""A backup, as docs/production.md says, that is taken while a run is trained, and its restore elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import JsonValue

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import EpochResult, Status
from tests.conftest import start_redis
from tests.programs import ROOT, Programs, wait_until

DONE: dict[str, JsonValue] = {"demo": True, "num_epochs": 3}
# Long enough for a backup in between; each epoch is some tenths of a second on the digits.
LONG: dict[str, JsonValue] = {"trainer": "cnn", "dataset": "digits", "num_epochs": 12, "seed": 1}


@pytest.fixture
def hosts() -> Iterator[tuple[Path, Path]]:
    """Folders of two hosts; a unix socket's path has to be short."""
    with (
        tempfile.TemporaryDirectory(prefix="wattle-") as one,
        tempfile.TemporaryDirectory(prefix="wattle-") as other,
    ):
        yield Path(one), Path(other)


def server_in(host: Path) -> RedisServer:
    return start_redis(RedisServer(host / "redis", unix_socket=host / "s"))


def documented(start: str) -> str:
    """The line of the operator's page that begins so."""
    block = (ROOT / "docs" / "production.md").read_text().split("## Backup and restore")[1].split("```")[1]
    (line,) = (line for line in block.splitlines() if line.startswith(start))
    return line


def take_backup(host: Path, kept: Path) -> None:
    """Redis first, files last; the line for tar is the documented one."""
    with redis.Redis.from_url(f"unix://{host}/s") as admin:
        assert documented("redis-cli BGREWRITEAOF")
        admin.bgrewriteaof()
        wait_until(lambda: admin.info("persistence")["aof_rewrite_in_progress"] == 0, every_s=0.05)
        assert admin.info("persistence")["aof_last_bgrewrite_status"] == "ok"
    line = documented("tar --create").replace("/var/lib/redis", str(host / "redis"))
    subprocess.run(["sh", "-c", line], cwd=kept, check=True)
    shutil.copytree(host / "data", kept / "data", ignore=shutil.ignore_patterns("program-*.log", "energy"))


def restore(kept: Path, host: Path) -> None:
    (host / "redis").mkdir()
    (packed,) = kept.glob("redis-*.tar")
    subprocess.run(["tar", "--extract", "--file", packed, "--directory", host / "redis"], check=True)
    shutil.copytree(kept / "data", host / "data")


def begin_and_back_up(host: Path, kept: Path) -> list[EpochResult]:
    """Take a backup with one run done, one in training and one that waits; returns what was recorded."""
    server = server_in(host)
    programs = Programs(redis_url=server.url, data_dir=host / "data")
    try:
        with RedisDB(server.url) as db:
            db.queue.submit(DONE, run_id="done")
            programs.start_worker(lease_s=1.0, checkpoint_every_s=0.2)
            wait_until(lambda: db.runs.get("done").status is Status.DONE, what="the first run")
            db.queue.submit(LONG, run_id="running")
            wait_until(lambda: len(db.runs.list_epochs("running")) >= 3, what="three epochs")
            db.queue.submit(DONE, run_id="waiting")
            take_backup(host, kept)
            assert db.runs.get("running").status is Status.RUNNING, "the backup was taken meanwhile"
            return db.runs.list_epochs("running")
    finally:
        programs.stop()
        server.stop()
        shutil.rmtree(host / "redis")


@pytest.mark.slow
def test_all_runs_are_back_and_the_one_that_ran_goes_on_from_its_checkpoint(
    hosts: tuple[Path, Path], tmp_path: Path
) -> None:
    one, other = hosts
    recorded = begin_and_back_up(one, tmp_path)
    restore(tmp_path, other)
    server = server_in(other)
    programs = Programs(redis_url=server.url, data_dir=other / "data")
    try:
        with RedisDB(server.url) as db:
            statuses = {run_id: db.runs.get(run_id).status for run_id in ("done", "running", "waiting")}
            assert statuses == {"done": Status.DONE, "running": Status.RUNNING, "waiting": Status.WAITING}
            assert len(db.runs.list_epochs("done")) == 3
            told = db.runs.list_epochs("running")
            assert told == recorded[: len(told)] != []

            programs.start_worker(lease_s=1.0)

            wait_until(lambda: db.runs.get("running").status.is_final, what="the run that ran")
            wait_until(lambda: db.runs.get("waiting").status.is_final, what="the run that waited")
            assert {db.runs.get(run_id).status for run_id in statuses} == {Status.DONE}, programs.output()
            assert [result.epoch for result in db.runs.list_epochs("running")] == list(range(1, 13))
            assert db.runs.get("running").attempt == 2
            assert any("resumes in epoch" in line.text for line in db.log.list("running"))
    finally:
        programs.stop()
        server.stop()
