"""Who hands runs over while another program lives, hangs, or has died."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

import exporters.rounds
from exporters.rounds import Follower
from redis_db import RedisDB
from schema import EpochResult, Run
from settings import Settings
from tests.integration.test_exporters import end
from tests.programs import wait_until

LEAD_S = 0.5


class Slow:
    """Takes a run, and keeps whoever hands it over until the door is opened."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.door = threading.Event()

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        assert len(epochs) == run.epochs_done
        self.begun.append(run.run_id)
        assert self.door.wait(60)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(exporters.rounds, "LEAD_S", LEAD_S)
    monkeypatch.setattr(exporters.rounds, "RHYTHM_S", 0.01)
    exporter = Slow()
    yield exporter
    exporter.door.set()


def follower(store: RedisDB, exporter: Slow) -> Follower:
    return Follower("slow", store, Settings(_env_file=None), opener=lambda *_: exporter)


def tick_until(is_reached: Callable[[], bool], *programs: Follower) -> None:
    """Do what the housekeeping of each program does, until then."""

    def look() -> bool:
        for program in programs:
            program.begin()
        return is_reached()

    wait_until(look, timeout_s=30, every_s=0.05)


def after(store: RedisDB, seconds: float) -> Callable[[], bool]:
    until = store.now().timestamp() + seconds
    return lambda: store.now().timestamp() > until


def hand_over(db: RedisDB, first: Follower, slow: Slow) -> None:
    """Let the first program be about to hand a run over."""
    tick_until(lambda: db.exports.get("slow").cursor is not None, first)
    end(db, "r1")
    tick_until(lambda: slow.begun == ["r1"], first)


def test_no_other_program_takes_a_run_while_it_is_handed_over_for_long(
    db: RedisDB, redis_url: str, slow: Slow
) -> None:
    with RedisDB(redis_url) as other:
        first, second = follower(db, slow), follower(other, slow)
        hand_over(db, first, slow)
        tick_until(after(db, 4 * LEAD_S), first, second)
        assert slow.begun == ["r1"]
        slow.door.set()
        tick_until(lambda: db.exports.get("slow").exported == 1, first, second)
        tick_until(after(db, 2 * LEAD_S), first, second)
    assert slow.begun == ["r1"]


@pytest.mark.parametrize("is_dead", [True, False])
def test_another_program_takes_over_from_one_that_died_or_hangs(
    db: RedisDB, redis_url: str, slow: Slow, monkeypatch: pytest.MonkeyPatch, is_dead: bool
) -> None:
    monkeypatch.setattr(exporters.rounds, "STUCK_S", LEAD_S)
    with RedisDB(redis_url) as other:
        first, second = follower(db, slow), follower(other, slow)
        hand_over(db, first, slow)
        tick_until(lambda: slow.begun == ["r1", "r1"], second, *(() if is_dead else (first,)))
        slow.door.set()
        tick_until(lambda: db.exports.get("slow").exported == 1, second)
