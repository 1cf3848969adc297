"""How a round of archiving ends where something is wrong: noted, said, and never as if all were well."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
import redis
import typer
from flask import Flask
from typer.testing import CliRunner, Result

from api.state import state_of
from archive.rounds import read_round
from backend import create_app
from cli import archive_commands
from errors import ArchiveUnavailable
from redis_db import RedisDB
from schema.archive import ArchiveRound
from settings import Settings
from tests.integration import test_views
from tests.integration.test_archive import DONE, ENDED
from tests.integration.test_archive_keeping import LOCK, Gate
from tests.programs import wait_until
from tests.stored_commands import load

api_url = test_views.api_url
Open = Callable[..., Flask]


@pytest.fixture
def open_app(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Iterator[Open]:
    """Apps of one store with runs that have ended, and of one folder."""
    load(raw, "layout-1.jsonl")
    opened = []

    def open_one(**settings: Any) -> Flask:
        opened.append(create_app(Settings(_env_file=None, data_dir=tmp_path, **settings), db))
        return opened[-1]

    yield open_one
    for app in opened:
        state_of(app).archive.close()


def do_round(app: Flask) -> ArchiveRound:
    """Do a round, and return how it is noted that it ended."""
    state = state_of(app)
    begun = state.archive_rounds.begin_now(older_than_s=1.0)
    wait_until(lambda: not state.archive_rounds.is_busy)
    last = read_round(state.db.archiving.read_facts())
    assert last is not None
    assert last.begun_at == begun.begun_at
    return last


def test_an_archive_of_a_newer_version_is_503_everywhere_and_says_to_upgrade(
    open_app: Open, db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    assert do_round(open_app()).moved == len(ENDED)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    app = open_app()
    api = app.test_client()
    for path in (
        "/api/runs",
        f"/api/runs/{DONE}",
        f"/api/runs/{DONE}/log",
        "/api/search?q=resnet9",
        "/api/archive",
    ):
        reply = api.get(path)
        told = reply.get_json()["error"]
        assert (reply.status_code, told["code"]) == (503, "archive_unavailable"), path
        assert "newer version of Wattle" in told["message"]
        assert "Upgrade Wattle" in told["message"]
    assert api.post(f"/api/runs/{DONE}/restore", json={}).status_code == 503
    assert api.post("/train", json={"num_epochs": 1, "trainer": "demo"}).status_code == 201
    assert "newer version of Wattle" in (do_round(app).problem or "")
    assert db.archiving.read_facts()["rounds:failed"] == "1"


def test_what_a_round_meets_that_is_known_is_its_problem(
    open_app: Open, db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    driverless = open_app(database_url="oracle://someone@127.0.0.1/x")
    assert "driver is not installed" in (do_round(driverless).problem or "")

    def be_away() -> NoReturn:
        raise ArchiveUnavailable("It has just gone away.")

    app = open_app()
    monkeypatch.setattr(state_of(app).archive, "measure", be_away)
    last = do_round(app)
    assert (last.moved, last.problem) == (len(ENDED), "It has just gone away.")
    facts = db.archiving.read_facts()
    assert (facts["rounds:failed"], "good_at" in facts, facts["under_way"]) == ("2", False, "")


def test_what_nobody_foresaw_is_noted_too_and_frees_the_lock(
    open_app: Open, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    app = open_app()
    archive = state_of(app).archive
    load_run = archive.load

    def lose_the_second(place: str) -> Any:
        if raw.hlen("runs:archived"):
            raise ZeroDivisionError
        return load_run(place)

    monkeypatch.setattr(archive, "load", lose_the_second)
    last = do_round(app)
    assert last.moved == 1
    assert "the log of the web process" in (last.problem or "")
    assert [found.exc_type for found in said] == [ZeroDivisionError]
    wait_until(lambda: not raw.exists(LOCK), timeout_s=5)
    monkeypatch.setattr(archive, "load", load_run)
    assert do_round(app).moved == len(ENDED) - 1


def test_who_waits_for_a_round_hears_that_it_is_gone(
    api_url: str, db: RedisDB, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(raw, "layout-1.jsonl")
    program, runner = typer.Typer(), CliRunner()
    archive_commands.mount(program)
    words = ["archive", "now", "--older-than-days", "0", "--wait", "--api", api_url]
    assert runner.invoke(program, [*words[:3], "36500", *words[4:]]).exit_code == 0  # one that was before
    gate, ended = Gate(db, monkeypatch), list[Result]()
    waiting = threading.Thread(target=lambda: ended.append(runner.invoke(program, words)))
    waiting.start()
    assert gate.reached.wait(30)
    waiting.join(2)
    assert not ended  # it waits
    raw.delete(LOCK)  # as 30 s after whoever had it was killed
    waiting.join(30)
    gate.open()
    assert ended[0].exit_code == 1
    assert "nobody has noted how it ended" in ended[0].stderr
    wait_until(lambda: db.archiving.count() == len(ENDED) and not raw.exists(LOCK))
    assert runner.invoke(program, words).exit_code == 0
