"""The load of bench.load does what workers and clients do."""

from __future__ import annotations

from bench.load_clients import Offer
from bench.load_workers import EPOCHS, Count, SimulatedWorker
from redis_db import RedisDB
from schema import Status
from tests.ports import own_port


def test_a_simulated_worker_beats_trains_ends_its_run_and_takes_the_next(db: RedisDB) -> None:
    first, second = (db.queue.submit({"trainer": "demo", "num_epochs": EPOCHS}) for _ in range(2))
    worker, count = SimulatedWorker(db, 1, beat_s=5, epoch_s=10), Count()
    assert [what for _, what in worker.begin()] == ["beat", "epoch"]

    assert worker.act("beat", count) == 5
    (seen,) = db.workers.list_live()
    assert seen.run_id == first.run_id
    while not count.runs:
        assert worker.act("epoch", count) == 10

    assert db.runs.get(first.run_id).status is Status.DONE
    assert db.runs.get(second.run_id).worker == seen.worker_id
    assert (count.beats, count.errors) == (1, [])
    assert count.epochs == len(db.runs.list_epochs(first.run_id)) > 0


def test_a_request_without_an_answer_is_an_error_and_no_time() -> None:
    made = Offer("submit", own_port(), per_s=100, seconds=0.05).make()

    assert (made["offered"], made["answered"], made["errors"]) == (5, 0, 5)
    assert made["took_ms"] == []
    assert "Refused" in made["first_error"]
