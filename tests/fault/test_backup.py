"""A backup by the commands of docs/production.md, while a run is trained, and its restore elsewhere.

Redis has the users that deploy/make_secrets.sh makes, so that nobody is let in without a password.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from pydantic import JsonValue

from cli.redis_server import find_redis_binary
from redis_db import RedisDB
from schema import EpochResult, Status
from tests.ports import own_port
from tests.programs import ROOT, Programs, wait_until
from tests.redis_users import is_before_7
from tests.secrets_made import copy_deploy, read_environment
from tests.tools import need

DONE: dict[str, JsonValue] = {"demo": True, "num_epochs": 3}
# Ten times as long as a backup; an epoch on the digits is a tenth of a second where nothing else runs.
EPOCHS = 100
LONG: dict[str, JsonValue] = {"trainer": "cnn", "dataset": "digits", "num_epochs": EPOCHS, "seed": 1}
DAY = "2026-11-01"


def documented() -> Sequence[str]:
    """The blocks of the operator's page, in its order."""
    told = (ROOT / "docs" / "production.md").read_text().split("## Backup and restore")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", told, re.MULTILINE | re.DOTALL)


@dataclass
class Host:
    """A host that was set up with systemd, below a folder."""

    root: Path
    secrets: Path
    port: int = field(default_factory=own_port)
    process: subprocess.Popen[bytes] | None = None

    def start_redis(self) -> None:
        """Start it as Debian does, and wait until it has loaded its file."""
        text = (ROOT / "deploy" / "redis" / "redis.conf").read_text()
        text = re.sub("^dir .*", f"dir {self.root}/redis", text, flags=re.MULTILINE)
        text = re.sub("^aclfile .*", f"aclfile {self.secrets}/users.acl", text, flags=re.MULTILINE)
        (self.root / "redis.conf").write_text(text)
        command = [str(find_redis_binary()), f"{self.root}/redis.conf", "--bind", "127.0.0.1"]
        command += ["--port", str(self.port), "--logfile", f"{self.root}/log"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url("backend")) as client:
            wait_until(lambda: answers(client), what="Redis answers")

    def stop_redis(self) -> None:
        """Stop it, if it runs."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def url(self, program: str) -> str:
        """What a program is given."""
        given = read_environment(self.secrets / f"{program}.env")["WATTLE_REDIS_URL"]
        return given.replace("@127.0.0.1:6379/", f"@127.0.0.1:{self.port}/")

    def here(self, command: str) -> str:
        """The command with the places of this host."""
        for asked, given in {
            "/etc/redis/wattle-users.acl": f"{self.secrets}/users.acl",
            "/var/lib/redis": f"{self.root}/redis",
            "/var/lib/wattle": f"{self.root}/data",
            "/opt/wattle/.venv/bin/python": sys.executable,
        }.items():
            command = command.replace(asked, given)
        # Everybody here is one user.
        command = command.replace("runuser --user wattle -- ", "")
        return command.replace("redis-cli -e", f"{need('redis-cli')} -e -p {self.port}")

    def run(self, kept: Path, *blocks: str) -> subprocess.CompletedProcess[str]:
        """Run blocks of the page in the folder of the backup, until a command fails."""
        text = self.here("\n".join(("set -e", *blocks)))
        return subprocess.run(["sh", "-c", text], cwd=kept, capture_output=True, text=True, check=False)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """Two hosts with the same secrets."""
    if is_before_7(find_redis_binary()):
        pytest.skip("The page copies the files of Redis 7; of one before it, it names BGSAVE's.")
    secrets = copy_deploy(tmp_path, "127.0.0.1") / "secrets"
    made = Host(tmp_path / "one", secrets), Host(tmp_path / "other", secrets)
    for host in made:
        (host.root / "data").mkdir(parents=True)
        # A host that had Wattle before.
        (host.root / "redis" / "appendonlydir").mkdir(parents=True)
    yield made
    for host in made:
        host.stop_redis()


def back_up(host: Host, kept: Path) -> None:
    with_systemd, _, _, backup, *_ = documented()
    # tar says so with 1 where a worker writes meanwhile, as the page tells.
    may_change = re.sub(r"^(at_\w+ tar .*)$", r"\1 || test $? = 1", backup, flags=re.MULTILINE)
    ended = host.run(kept, with_systemd, may_change)
    assert ended.returncode == 0, ended.stderr
    names = [re.fullmatch(r"(redis|data)-\d{4}-\d\d-\d\d\.tar", path.name) for path in kept.iterdir()]
    assert sorted(name[1] for name in names if name) == ["data", "redis"]


def restore(kept: Path, host: Host) -> None:
    with_systemd, _, _, _, stopping, _, _, restoring = documented()
    assert stopping == "systemctl stop 'wattle-*' redis-server\n"
    for path in list(kept.iterdir()):
        path.rename(kept / f"{path.name.split('-')[0]}-{DAY}.tar")
    ended = host.run(kept, with_systemd, restoring)
    assert ended.returncode == 0, ended.stderr


def archive_in(host: Host) -> sqlite3.Connection:
    """A database that somebody has open and writes to; what he does not commit is in no backup."""
    archive = sqlite3.connect(host.root / "data" / "archive.db")
    archive.execute("PRAGMA journal_mode = WAL")
    archive.execute("CREATE TABLE archived (run TEXT)")
    archive.execute("INSERT INTO archived VALUES ('committed')")
    archive.commit()
    archive.execute("INSERT INTO archived VALUES ('not yet')")
    return archive


def begin_and_back_up(host: Host, kept: Path) -> list[EpochResult]:
    """Take a backup with one run done, one in training and one that waits; returns what was recorded."""
    host.start_redis()
    programs = Programs(redis_url=host.url("worker"), data_dir=host.root / "data")
    archive = archive_in(host)
    try:
        with RedisDB(host.url("backend")) as db:
            db.queue.submit(DONE, run_id="done")
            programs.start_worker(lease_s=1.0, checkpoint_every_s=0.2)
            wait_until(lambda: db.runs.get("done").status is Status.DONE, what="the first run")
            db.queue.submit(LONG, run_id="running")
            wait_until(lambda: len(db.runs.list_epochs("running")) >= 3, what="three epochs")
            db.queue.submit(DONE, run_id="waiting")
            back_up(host, kept)
            assert db.runs.get("running").status is Status.RUNNING, "the backup was taken meanwhile"
            return db.runs.list_epochs("running")
    finally:
        archive.close()
        programs.stop()
        host.stop_redis()
        shutil.rmtree(host.root)


@pytest.mark.slow
def test_all_runs_are_back_and_the_one_that_ran_goes_on_from_its_checkpoint(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    one, other = hosts
    kept = tmp_path / "kept"
    kept.mkdir()
    recorded = begin_and_back_up(one, kept)
    # What the host had of before.
    sqlite3.connect(other.root / "data" / "archive.db").close()
    (other.root / "data" / "archive.db-wal").write_bytes(b"old")
    restore(kept, other)
    with sqlite3.connect(other.root / "data" / "archive.db") as archive:
        assert archive.execute("SELECT run FROM archived").fetchall() == [("committed",)]
    archive.close()
    other.start_redis()
    programs = Programs(redis_url=other.url("worker"), data_dir=other.root / "data")
    try:
        waiting = other.run(
            kept, documented()[0], *documented()[3].splitlines()[:2], "redis SCARD queue:demand"
        )
        assert (waiting.returncode, waiting.stdout) == (0, "2\n"), waiting.stderr
        with RedisDB(other.url("backend")) as db:
            statuses = {run_id: db.runs.get(run_id).status for run_id in ("done", "running", "waiting")}
            assert statuses == {"done": Status.DONE, "running": Status.RUNNING, "waiting": Status.WAITING}
            assert len(db.runs.list_epochs("done")) == 3
            told = db.runs.list_epochs("running")
            assert told == recorded[: len(told)] != []

            programs.start_worker(lease_s=1.0)

            wait_until(lambda: db.runs.get("running").status.is_final, what="the run that ran")
            wait_until(lambda: db.runs.get("waiting").status.is_final, what="the run that waited")
            assert {db.runs.get(run_id).status for run_id in statuses} == {Status.DONE}, programs.output()
            assert [result.epoch for result in db.runs.list_epochs("running")] == list(range(1, EPOCHS + 1))
            assert db.runs.get("running").attempt == 2
            assert any("resumes in epoch" in line.text for line in db.log.list("running"))
    finally:
        programs.stop()


def test_a_wrong_password_is_told_and_nothing_is_waited_for(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    host, _ = hosts
    host.start_redis()
    users = (host.secrets / "users.acl").read_text()
    (tmp_path / "stale").mkdir()
    (tmp_path / "stale" / "users.acl").write_text(re.sub("(user default on >)", r"\1old", users))
    stranger = Host(host.root, tmp_path / "stale", host.port)
    first = documented()[3].split("at_redis tar")[0]
    ended = stranger.run(tmp_path, documented()[0], first)
    assert "WRONGPASS" in ended.stderr
    assert ended.returncode != 0
