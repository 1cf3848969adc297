"""What the store keeps of sweeps, on each form of Redis; and its journal against Optuna's own contract."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import optuna
import pytest
import redis
from optuna.storages import JournalStorage

from errors import Conflict, NotFound
from redis_db import RedisDB
from schema.sweeps import MAX_SWEEPS, SweepState, SweepSummary
from sweeps.study import Journal
from tests.sweep_parts import request, start


def test_what_was_asked_for_is_read_back_as_it_was(db: RedisDB) -> None:
    choices = {"type": "categorical", "choices": [True, False]}
    sweep = start(db, name="größer", space={"nesterov": choices})
    assert db.sweeps.get(sweep.sweep_id) == sweep
    assert db.sweeps.list() == [sweep]
    assert [type(choice) for choice in sweep.request.space["nesterov"].choices] == [bool, bool]  # type: ignore[union-attr] # as above


def test_a_repeated_request_answers_with_its_sweep(db: RedisDB) -> None:
    first = db.sweeps.create(request(), idempotency_key="k")
    assert db.sweeps.create(request(), idempotency_key="k").sweep_id == first.sweep_id
    with pytest.raises(Conflict, match="Use a new key"):
        db.sweeps.create(request(seed=2), idempotency_key="k")


def test_who_drives_the_sweeps_goes_on_until_it_is_silent(db: RedisDB, raw: redis.Redis) -> None:
    assert db.sweeps.lead("a", ttl_s=60)
    assert db.sweeps.lead("a", ttl_s=60)
    assert not db.sweeps.lead("b", ttl_s=60)
    raw.delete("lock:sweeps")  # as when it expires
    assert db.sweeps.lead("b", ttl_s=60)
    assert not db.sweeps.lead("a", ttl_s=60)


def test_a_sweep_that_has_ended_is_not_driven_and_does_not_begin_anew(db: RedisDB) -> None:
    sweep = start(db)
    assert db.sweeps.has_active()
    assert db.sweeps.note(sweep.sweep_id, SweepSummary(co2_g=3), end=SweepState.DONE, reason="enough")
    assert not db.sweeps.note(sweep.sweep_id, SweepSummary(co2_g=4), end=SweepState.FAILED, reason="late")
    ended = db.sweeps.get(sweep.sweep_id)
    assert (ended.state, ended.reason, ended.summary.co2_g) == (SweepState.DONE, "enough", 3)
    assert not db.sweeps.has_active()
    with pytest.raises(Conflict, match="has ended"):
        db.sweeps.steer(sweep.sweep_id, SweepState.RUNNING)


def test_a_sweep_is_forgotten_with_its_journal_once_it_has_ended(db: RedisDB, raw: redis.Redis) -> None:
    sweep = start(db)
    db.sweeps.append_journal(sweep.sweep_id, 0, [{"n": 1}])
    with pytest.raises(Conflict, match="Stop it first"):
        db.sweeps.delete(sweep.sweep_id)
    db.sweeps.note(sweep.sweep_id, SweepSummary(), end=SweepState.STOPPED)
    db.sweeps.delete(sweep.sweep_id)
    assert raw.keys("sweep*") == []
    with pytest.raises(NotFound):
        db.sweeps.append_journal(sweep.sweep_id, 1, [{"n": 2}])


def test_a_journal_is_read_from_any_place_on_in_the_order_it_was_written(db: RedisDB) -> None:
    sweep = start(db)
    for first in range(0, 4_500, 500):
        entries = [{"n": number} for number in range(first, first + 500)]
        db.sweeps.append_journal(sweep.sweep_id, first, entries)
        with pytest.raises(Conflict, match="Another program wrote"):
            db.sweeps.append_journal(sweep.sweep_id, first, entries)
    read = [entry["n"] for entry in db.sweeps.read_journal(sweep.sweep_id, 3)]
    assert read == list(range(3, 4_500))


def test_what_several_write_at_once_all_of_them_read_alike(db: RedisDB) -> None:
    """Optuna's contract: every storage on one journal sees the same trials, each with its own number."""
    sweep = start(db)

    def opened() -> optuna.Study:
        storage = JournalStorage(Journal(db.sweeps, sweep.sweep_id))
        return optuna.create_study(storage=storage, study_name="s", load_if_exists=True)

    def until_first(read: Callable[[], object], write: Callable[[], Any]) -> Any:
        while True:
            read()
            with suppress(Conflict):
                return write()

    def search() -> None:
        study = until_first(lambda: None, opened)
        write = partial(until_first, study.get_trials)
        for _ in range(10):
            trial = write(study.ask)
            x = write(partial(trial.suggest_float, "x", 0, 1))
            write(partial(study.tell, trial, x**2))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def seen(study: optuna.Study) -> list[Any]:
        return [(trial.number, trial.params, trial.values) for trial in study.trials]

    first = seen(opened())
    assert first == seen(opened())
    assert [number for number, _, _ in first] == list(range(30))
    assert all(values == [params["x"] ** 2] for _, params, values in first)


def test_where_there_are_as_many_as_are_kept_the_answer_says_how_to_make_room(
    db: RedisDB, raw: redis.Redis
) -> None:
    raw.zadd("sweeps:order", {f"{number:032x}": number for number in range(MAX_SWEEPS)})
    with pytest.raises(Conflict, match="wattle sweep delete SWEEP"):
        start(db)
