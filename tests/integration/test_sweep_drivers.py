"""Two programs at one sweep, and what one of them reads again: on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from optuna.storages.journal._storage import JournalOperation

from redis_db import RedisDB
from schema import EpochResult, Status
from schema.sweeps import Sweep, TrialState
from sweeps.known_epochs import KnownEpochs
from sweeps.outcome import failed
from sweeps.study import Study
from tests.records import claim, epoch
from tests.sweep_parts import start


class Overtaken:
    """A journal to which another program writes as soon as a trial was opened."""

    def __init__(self, db: RedisDB, event: Callable[[], None]) -> None:
        self._db, self._event = db, event

    def read_journal(self, sweep_id: str, after: int) -> Iterable[dict[str, Any]]:
        return self._db.sweeps.read_journal(sweep_id, after)

    def append_journal(self, sweep_id: str, after: int, entries: Sequence[dict[str, Any]]) -> None:
        self._db.sweeps.append_journal(sweep_id, after, entries)
        if entries[0]["op_code"] == JournalOperation.CREATE_TRIAL:
            self._event()


class Counted:
    """Runs, and whose epochs were read."""

    def __init__(self, db: RedisDB) -> None:
        self._db = db
        self.read: list[str] = []

    def find_many(self, run_ids: Sequence[str]) -> Any:
        return self._db.runs.find_many(run_ids)

    def list_epochs_of(self, run_ids: Sequence[str]) -> dict[str, list[EpochResult]]:
        self.read += run_ids
        return self._db.runs.list_epochs_of(run_ids)


def two_studies(db: RedisDB) -> tuple[Study, Study, Sweep]:
    sweep = start(db)
    first, second = Study(db.sweeps, sweep), Study(db.sweeps, sweep)
    assert first.ask() is not None
    return first, second, sweep


def test_a_trial_that_another_program_has_ended_stays_as_it_ended_it(db: RedisDB) -> None:
    first, second, sweep = two_studies(db)
    (asked,) = first.list_asked()
    second.tell(failed(asked.record, "by the second"))
    assert not first.note_queued(asked.number)
    first.note_pruned(asked.number, "by the first")
    first.report(asked.number, {1: 0.5})
    first.tell(asked.record.model_copy(update={"state": TrialState.COMPLETE, "values": (0.9,)}))
    for study in (first, second, Study(db.sweeps, sweep)):
        (trial,) = study.list_trials()
        assert (trial.state, trial.reason, trial.values) == (TrialState.FAILED, "by the second", None)


def test_a_trial_that_another_program_takes_for_lost_while_it_is_opened_is_not_begun(db: RedisDB) -> None:
    sweep = start(db)
    study = Study(Overtaken(db, lambda: Study(db.sweeps, sweep).drop(0)), sweep)
    assert study.ask() is None
    assert not [*study.list_trials(), *study.list_asked()]


def test_epochs_are_read_again_only_of_runs_that_have_others(db: RedisDB) -> None:
    for run_id in ("a", "b"):
        db.queue.submit({"num_epochs": 3}, run_id=run_id)
    leases = {lease.run_id: lease for lease in (claim(db, worker_id=name) for name in ("w1", "w2"))}
    store, known = Counted(db), KnownEpochs()

    def look() -> dict[str, list[int]]:
        store.read.clear()
        found = known.read(store, db.runs.find_many([*leases]))
        return {run_id: [epoch.epoch for epoch in epochs] for run_id, epochs in sorted(found.items())}

    assert (look(), sorted(store.read)) == ({"a": [], "b": []}, ["a", "b"])
    db.runs.record_epoch(leases["a"], epoch(1))
    assert (look(), store.read) == ({"a": [1], "b": []}, ["a"])
    assert (look(), store.read) == ({"a": [1], "b": []}, [])
    del leases["a"]
    assert (look(), store.read) == ({"b": []}, [])


def test_an_epoch_that_another_attempt_writes_again_is_read_again(db: RedisDB) -> None:
    db.queue.submit({"num_epochs": 3}, run_id="a")
    known, lease = KnownEpochs(), claim(db)
    db.runs.record_epoch(lease, epoch(1, test_accuracy=0.1))
    db.queue.release(lease, reason="stopped")
    lease = claim(db)
    known.read(db.runs, db.runs.find_many(["a"]))
    db.runs.record_epoch(lease, epoch(1, test_accuracy=0.2))
    db.queue.finish(lease, Status.DONE)
    run = db.runs.find_many(["a"])
    assert (run["a"].attempt, run["a"].epochs_done) == (2, 1)
    assert [epoch.test_accuracy for epoch in known.read(db.runs, run)["a"]] == [0.2]
