"""A backend is killed with SIGKILL while it archives and others write: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest
import redis

from cli.redis_server import RedisServer
from errors import Conflict
from redis_db import RedisDB
from schema import SortField, Status
from tests.files import list_files
from tests.integration.test_external_store import batch, begin, lines
from tests.ports import own_port
from tests.programs import Programs, wait_until
from tests.stored_commands import dump

pytestmark = pytest.mark.slow

RUNS = 100
QUIET = 60  # of them nobody changes these
DETAILS = ("", "/epochs", "/log")
TWO_DAYS_S = 172_800


class Archiver:
    """Backends, one after the other, that archive until they are killed."""

    def __init__(self, programs: Programs, raw: redis.Redis, folder: Path) -> None:
        self.programs, self.raw, self.folder = programs, raw, folder
        self.http = httpx.Client(trust_env=False, timeout=60)
        self.begin()

    def begin(self) -> None:
        self.url = f"http://127.0.0.1:{(port := own_port())}"
        self.process: subprocess.Popen[bytes] = self.programs.start("backend.py", port=port)
        wait_until(self._answers, what=self.programs.output(), every_s=0.1)

    def kill(self) -> None:
        """Kill gunicorn and its worker, which is in the same session."""
        gunicorn = psutil.Process(self.process.pid)
        for process in (*gunicorn.children(recursive=True), gunicorn):
            os.kill(process.pid, signal.SIGKILL)
        self.process.wait()

    def get(self, path: str) -> bytes:
        reply = self.http.get(f"{self.url}{path}")
        assert reply.status_code == 200, (path, reply.text)
        return reply.content.replace(b'"archived":true', b'"archived":false')

    def archive(self) -> int:
        body = {"older_than_days": 0}
        return self.http.post(f"{self.url}/api/archive", json=body).status_code

    def archive_all(self) -> None:
        wait_until(lambda: self.archive() == 202, every_s=0.2)
        wait_until(lambda: b'"under_way":null' in self.get("/api/archive"), every_s=0.2)
        assert b'"problem":null' in self.get("/api/archive")

    def moved(self) -> int:
        return int(self.raw.hlen("runs:archived"))

    def files(self) -> set[str]:
        root = self.folder / "archive"
        return {str(path.relative_to(root)) for path in list_files(root)}

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "archive.db", timeout=30)) as database, database:
            return [row[0] for row in database.execute(query)]

    def _answers(self) -> bool:
        try:
            return self.http.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False


class Writer:
    """Somebody who writes notes to runs, one after the other, until a run is archived."""

    def __init__(self, db: RedisDB, run_ids: list[str]) -> None:
        self._db, self._run_ids = db, run_ids
        self.written: dict[str, list[str]] = {run_id: [] for run_id in run_ids}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        choice, number = random.Random(1), 0  # noqa: S311 - nobody guesses it
        while not self._stop.wait(0.002):
            run_id, number = choice.choice(self._run_ids), number + 1
            try:
                self._db.external.add_note(run_id, f"note {number}")
            except Conflict:
                continue  # it is in the archive
            self.written[run_id].append(f"note {number}")


@pytest.fixture
def raw(durable_redis: RedisServer) -> Iterator[Any]:
    """A client that reads any bytes."""
    form: dict[str, Any] = {"decode_responses": True, "encoding_errors": "surrogateescape"}
    with redis.Redis.from_url(durable_redis.url, **form) as client:
        yield client


@pytest.fixture
def archiver(programs: Programs, raw: redis.Redis, tmp_path: Path) -> Iterator[Archiver]:
    started = Archiver(programs, raw, tmp_path / "data")
    yield started
    started.http.close()


def add_run(db: RedisDB, number: int) -> str:
    """Add a run that has something of each kind, and has ended."""
    run_id = begin(db, name=f"run {number % 7}", tags=[f"t{number % 3}"])
    values = [number + step / 7 for step in range(50)]
    db.metrics.record(run_id, batch(loss=values, test_accuracy=[0.01 * (number % 90)]), at=db.now())
    db.external.append_log(run_id, lines(1, f"hello {number}", "bye"))
    db.external.add_note(run_id, "begun")
    db.external.end(run_id, Status.FAILED if number % 5 == 0 else Status.DONE)
    return run_id


def lists(archiver: Archiver) -> dict[str, list[str]]:
    """The ids of each list, in its order, and how many pages of it there were."""
    found: dict[str, list[str]] = {}
    for sort in SortField:
        ids, cursor = [], ""
        while cursor is not None:
            path = f"/api/runs?limit=30&sort={sort}" + (f"&cursor={cursor}" if cursor else "")
            page = httpx.Response(200, content=archiver.get(path)).json()
            ids += [run["iid"] for run in page["results"]]
            cursor = page["cursor"]
        found[sort] = ids
    found["search"] = httpx.Response(200, content=archiver.get("/api/search?q=tag:t1")).json()["run_ids"]
    return found


def details(archiver: Archiver, run_ids: list[str]) -> dict[str, bytes]:
    paths = [f"/api/runs/{run_id}{part}" for run_id in run_ids for part in DETAILS]
    paths += [f"/api/metrics/{run_id}?name=loss,test_accuracy" for run_id in run_ids]
    paths += [f"/api/experiments/{run_id}/notes" for run_id in run_ids]
    return {path: archiver.get(path) for path in paths}


def keys_of(raw: redis.Redis, run_ids: list[str]) -> list[str]:
    """All that is stored of runs for good."""
    return [line for line in dump(raw).splitlines() if any(f"run:{run_id}" in line for run_id in run_ids)]


def moments(archiver: Archiver) -> Iterator[Callable[[], bool]]:
    """States of a round in which it is killed, or some runs later where it is too quick to be seen there."""

    def at(least: int, latest: int, is_there: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: archiver.moved() >= latest or (archiver.moved() >= least and is_there())

    root = archiver.folder / "archive"
    yield lambda: archiver.moved() >= 3
    yield at(10, 25, (archiver.folder / "archive.db-journal").exists)  # in the middle of a transaction
    yield at(30, 45, lambda: any(path.suffix == ".half" for path in list_files(root)))
    yield at(50, 65, lambda: len(archiver.files()) > archiver.moved() + 3)  # its run has not left yet
    yield lambda: archiver.moved() >= 70


def age(archiver: Archiver) -> None:
    """Let everything in the archive have been there for two days."""
    with closing(sqlite3.connect(archiver.folder / "archive.db", timeout=30)) as database, database:
        database.execute("UPDATE archived_runs SET archived_at_s = archived_at_s - ?", (TWO_DAYS_S,))
        database.execute("UPDATE archived_loose_files SET since_s = since_s - ?", (TWO_DAYS_S,))


def check_nothing_is_left_over(archiver: Archiver, raw: redis.Redis) -> None:
    """Look at the archive two days later, after a round: it has what counts and no more."""
    age(archiver)
    archiver.archive_all()
    places = archiver.rows("SELECT place FROM archived_runs")
    assert sorted(places) == sorted(raw.hvals("runs:archived"))
    assert archiver.files() == set(archiver.rows("SELECT points_file FROM archived_runs"))
    assert archiver.rows("SELECT name FROM archived_loose_files") == []


def test_an_archiving_backend_that_is_killed_again_and_again_loses_and_doubles_nothing(
    store: RedisDB, raw: redis.Redis, archiver: Archiver
) -> None:
    run_ids = [add_run(store, number) for number in range(RUNS)]
    quiet, noted = run_ids[:QUIET], run_ids[QUIET:]
    before, shown, kept = lists(archiver), details(archiver, quiet), keys_of(raw, quiet)
    assert sorted(before["time_added"]) == sorted(run_ids)
    with Writer(store, noted) as writer:
        for number, is_there in enumerate(moments(archiver)):
            assert archiver.archive() == 202
            wait_until(is_there, every_s=0.0005, timeout_s=60)
            archiver.kill()
            assert 0 < archiver.moved() < RUNS
            archiver.begin()
            if number == 0:  # whoever was killed is waited for, but not for long
                assert archiver.archive() == 409
                wait_until(lambda: not raw.exists("lock:archive"), timeout_s=40)
            raw.delete("lock:archive")
            assert lists(archiver) == before
        archiver.archive_all()
    archiver.archive_all()  # what changed under way
    assert set(raw.hkeys("runs:archived")) == set(run_ids)
    assert lists(archiver) == before
    assert details(archiver, quiet) == shown
    for run_id in noted:
        notes = httpx.Response(200, content=archiver.get(f"/api/experiments/{run_id}/notes")).json()
        assert [note["text"] for note in notes] == ["begun", *writer.written[run_id]]
    assert sum(map(len, writer.written.values())) > 20

    check_nothing_is_left_over(archiver, raw)
    for run_id in quiet:
        path = f"{archiver.url}/api/runs/{run_id}/restore"
        assert archiver.http.post(path, json={}).status_code == 200
    assert keys_of(raw, quiet) == kept
