"""The lock of archiving: a round keeps its own, frees its own, and leaves none behind that nobody needs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from api.state import state_of
from archive.keeping import LOCK_S, STUCK_S
from archive.rounds import ArchiveRounds
from backend import create_app
from errors import Conflict, StoreUnavailable
from redis_db import RedisDB
from settings import Settings
from tests.integration.test_archive import ENDED
from tests.programs import wait_until
from tests.stored_commands import load

LOCK = "lock:archive"


class Clock:
    """A clock that goes on when it is told to."""

    now_s = 4e9

    def __call__(self) -> float:
        return self.now_s


class Gate:
    """A store's ``read`` that waits until it is let through: a round that hangs."""

    def __init__(self, db: RedisDB, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read, self._open, self.reached = db.archiving.read, threading.Event(), threading.Event()
        monkeypatch.setattr(db.archiving, "read", self)

    def __call__(self, run_id: str) -> Any:
        self.reached.set()
        assert self._open.wait(60)
        return self._read(run_id)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_rounds(db: RedisDB, raw: redis.Redis, clock: Clock, tmp_path: Path) -> Any:
    load(raw, "layout-1.jsonl")
    state = state_of(create_app(Settings(_env_file=None, data_dir=tmp_path), db))
    yield lambda: ArchiveRounds(db, state.archive, state.settings, clock=clock)
    state.archive.close()


def test_a_start_that_fails_frees_the_lock(
    db: RedisDB, raw: redis.Redis, make_rounds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = make_rounds()

    def refuse(*_: object) -> None:
        raise StoreUnavailable("Redis cannot be reached.")

    def have_none(_: object) -> None:
        raise RuntimeError("can't start new thread")

    for part, method, fail, kind in (
        (db.archiving, "note_facts", refuse, StoreUnavailable),
        (threading.Thread, "start", have_none, RuntimeError),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(part, method, fail)
            with pytest.raises(kind):
                rounds.begin_now()
        rounds.begin()  # as every second: nobody keeps what nobody needs
        wait_until(lambda: not raw.exists(LOCK), timeout_s=5)
    rounds.begin_now(older_than_s=1.0)
    wait_until(lambda: not rounds.is_busy)
    assert db.archiving.count() == len(ENDED)


def test_a_round_that_hangs_is_not_doubled_here_and_frees_no_other_ones_lock(
    db: RedisDB, raw: redis.Redis, make_rounds: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, other = make_rounds(), make_rounds()
    gate = Gate(db, monkeypatch)
    rounds.begin_now(older_than_s=1.0)
    assert gate.reached.wait(10)
    clock.now_s += STUCK_S + 1
    raw.pexpire(LOCK, 1)
    wait_until(lambda: not raw.exists(LOCK))
    rounds.begin()
    assert not raw.exists(LOCK)  # it got nowhere for so long that it keeps the lock no more
    with pytest.raises(Conflict, match="archived already"):
        rounds.begin_now()
    assert not raw.exists(LOCK)

    raw.set(LOCK, "somebody else", px=60_000)
    db.archiving.note_facts({"under_way": "theirs"})
    gate.open()
    wait_until(lambda: not rounds.is_busy)
    rounds.begin()
    assert raw.get(LOCK) == "somebody else"
    assert raw.pttl(LOCK) > 1000 * LOCK_S
    assert db.archiving.count() <= 1  # the one that it had in its hands
    facts = db.archiving.read_facts()
    assert (facts["under_way"], "last" in facts) == ("theirs", False)
    with pytest.raises(Conflict):
        other.begin_now()


def test_the_end_of_a_round_leaves_the_lock_of_the_next_one(
    db: RedisDB, raw: redis.Redis, make_rounds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = make_rounds()
    rounds.begin_now(older_than_s=4e9)
    first = rounds._keeping
    wait_until(lambda: not rounds.is_busy and not raw.exists(LOCK))
    first.keep()  # as late as can be
    assert not raw.exists(LOCK)
    gate = Gate(db, monkeypatch)
    rounds.begin_now(older_than_s=1.0)
    assert gate.reached.wait(10)
    first.close()
    raw.pexpire(LOCK, 1000)
    rounds.begin()
    assert raw.pttl(LOCK) > 10_000
    gate.open()
    wait_until(lambda: not rounds.is_busy)
    assert db.archiving.count() == len(ENDED)
