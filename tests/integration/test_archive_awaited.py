"""Runs that a program without an archive has still to read: they stay until it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from archive.moving import DAY_S, Moving
from archive.opening import open_archive
from errors import Conflict
from exporters.file import FileExporter
from exporters.rounds import Follower
from redis_db import RedisDB
from schema import RunOptions, Status
from schema.archive import ArchiveRound
from schema.sweeps import Sweep, SweepState, TrialState
from settings import Settings
from sweeps.driving import Unfit
from tests.alert_parts import add_rule, alerting, keep_house, raised
from tests.integration.test_archive import later
from tests.records import claim
from tests.sweep_parts import start, step, train, trials


@pytest.fixture
def moving(db: RedisDB, tmp_path: Path) -> Iterator[Moving]:
    """The backend's: everything that has ended is old enough."""
    settings = Settings(_env_file=None, data_dir=tmp_path)
    opened = open_archive(settings, layout=1)
    db.read_archived(opened)
    yield Moving(db, opened, settings, later)
    opened.close()


@pytest.fixture
def worker(redis_url: str) -> Iterator[RedisDB]:
    """A program that was given no archive."""
    with RedisDB(redis_url) as store:
        yield store


def move(moving: Moving) -> ArchiveRound:
    done = moving.move_all(older_than_s=DAY_S)
    assert (done.problem, done.left) == (None, 0), "what is awaited is not even looked at"
    return done


def fail(db: RedisDB) -> str:
    run_id = db.queue.submit({"num_epochs": 1}, RunOptions()).run_id
    db.queue.finish(claim(db), Status.FAILED)
    return run_id


def test_trials_stay_until_their_sweep_has_ended_and_none_is_lost(
    db: RedisDB, worker: RedisDB, moving: Moving
) -> None:
    sweep = start(db, sampler="random", limits={"trials": 4})
    other = train_other(db)
    assert move(moving).moved == 1, other
    while not db.sweeps.get(sweep.sweep_id).state.is_final:
        step(worker, sweep)
        if db.queue.length():
            train(db)
        assert move(moving).moved == (len(trials(db, sweep)) if is_over(db, sweep) else 0)
    assert db.sweeps.get(sweep.sweep_id).state is SweepState.DONE
    assert [trial.state for trial in trials(db, sweep)] == [TrialState.COMPLETE] * 4
    used = db.sweeps.get(sweep.sweep_id).summary
    assert (used.co2_g, round(used.energy_kwh or 0, 6)) == (12.0, 0.012)
    assert db.archiving.count() == 5


def train_other(db: RedisDB) -> str:
    run_id = db.queue.submit({"num_epochs": 3}, RunOptions(tags=("sweep:of-nobody",))).run_id
    train(db)
    return run_id


def is_over(db: RedisDB, sweep: Sweep) -> bool:
    return db.sweeps.get(sweep.sweep_id).state.is_final


def test_a_trial_that_ended_while_it_was_looked_at_stays(db: RedisDB, moving: Moving) -> None:
    sweep = start(db)
    step(db, sweep)
    run_id = train(db).run_id
    assert not moving.move(run_id), "the script refuses it too"
    assert db.archiving.count() == 0


def test_a_trial_that_was_archived_all_the_same_was_not_deleted(
    db: RedisDB, worker: RedisDB, raw: redis.Redis, moving: Moving
) -> None:
    sweep = start(db, limits={"trials": 1})
    step(db, sweep)
    train(db)
    raw.srem("sweeps:active", sweep.sweep_id)
    assert move(moving).moved == 1
    raw.sadd("sweeps:active", sweep.sweep_id)
    with pytest.raises(Unfit, match="was moved to the archive"):
        step(worker, sweep)
    assert [trial.state for trial in trials(db, sweep)] == [TrialState.RUNNING]
    step(db, sweep)
    (trial,) = trials(db, sweep)
    assert (trial.state, trial.co2_g) == (TrialState.COMPLETE, 3.0)


def test_a_run_stays_until_the_alert_rules_have_read_its_end(
    db: RedisDB, worker: RedisDB, raw: redis.Redis, moving: Moving
) -> None:
    watching = alerting(worker)
    add_rule(db, {"kind": "run_failed"})
    first = fail(db)
    assert move(moving).moved == 0
    assert not moving.move(first), "the script refuses it too"
    keep_house(raw, worker, watching)
    assert [alert.run_id for alert in raised(db)] == [first]
    assert move(moving).moved == 1
    second = fail(db)
    assert move(moving).moved == 0
    keep_house(raw, worker, watching)
    assert [alert.run_id for alert in raised(db)] == [first, second]
    assert move(moving).moved == 1


@pytest.mark.parametrize("is_there", [False, True])
def test_nobody_waits_for_rules_that_are_not_in_force(
    db: RedisDB, raw: redis.Redis, moving: Moving, is_there: bool
) -> None:
    if is_there:
        add_rule(db, {"kind": "run_failed"}, is_enabled=False)
        raw.hset("alerts:rules", "broken", "{")
    fail(db)
    assert move(moving).moved == 1


def test_what_was_restored_while_a_sweep_looked_for_it_was_not_deleted_either(
    db: RedisDB, worker: RedisDB, moving: Moving
) -> None:
    sweep = start(db, limits={"trials": 1})
    step(db, sweep)
    train(db)

    class Blinking:
        """Runs that are not there at the first look."""

        looks = 0

        def find_many(self, run_ids: list[str]) -> object:
            self.looks += 1
            return {} if self.looks == 1 else db.runs.find_many(run_ids)

        def __getattr__(self, name: str) -> object:
            return getattr(db.runs, name)

    class Seen:
        """The store as that program sees it."""

        runs = Blinking()

        def __getattr__(self, name: str) -> object:
            return getattr(worker, name)

    with pytest.raises(Conflict):
        step(Seen(), sweep)  # type: ignore[arg-type]
    step(worker, sweep)
    assert [trial.state for trial in trials(db, sweep)] == [TrialState.COMPLETE]


def test_an_exporter_that_was_away_hands_over_what_was_archived_meanwhile(
    db: RedisDB, moving: Moving, tmp_path: Path
) -> None:
    exporter = FileExporter(Settings(_env_file=None, data_dir=tmp_path))
    program = Follower("file", db, Settings(_env_file=None), opener=lambda *_: exporter)
    program.run_round()
    run_id = train_other(db)
    assert move(moving).moved == 1
    program.run_round()
    (line,) = [json.loads(line) for line in exporter.path.read_text().splitlines()]
    assert (line["run"]["run_id"], len(line["epochs"])) == (run_id, 3)
