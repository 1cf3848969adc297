"""A store is filled with simulated runs through the calls of a real worker."""

from __future__ import annotations

from pathlib import Path

from redis_db import RedisDB
from schema import RunOptions, SortField, Status
from settings import Settings
from work.seed_demo import QUEUE, seed


def test_a_fresh_store_gets_complete_runs_that_say_what_they_are(db: RedisDB, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    seed(db, Settings(data_dir=tmp_path), count=60, say=lambda done, count: said.append((done, count)))

    runs = db.runs.list().runs
    assert (len(runs), said[-1]) == (60, (60, 60))
    assert all(run.simulated and run.status in (Status.DONE, Status.FAILED) for run in runs)
    assert {run.status for run in runs} == set(Status) & {Status.DONE, Status.FAILED}
    assert {run.energy_quality for run in runs} == {"simulated"}
    assert all(run.energy_kwh and run.co2_g and run.accuracy_per_kwh for run in runs)
    assert len({run.hyper_params["dataset"] for run in runs}) == 6
    assert all(run.epochs_done == run.num_epochs for run in runs if run.status is Status.DONE)
    newest = runs[0]
    assert len(db.runs.list_epochs(newest.run_id)) == newest.epochs_done
    assert "simulated" in db.log.list(newest.run_id)[0].text
    assert newest.environment["intensity_zone"] == "USA"  # what a recomputation asks for
    assert (db.now() - runs[-1].time_added).total_seconds() < 60
    ranked = [run.best_accuracy or 0 for run in db.runs.list(SortField.BEST_ACCURACY).runs]
    assert ranked == sorted(ranked, reverse=True)


def test_runs_of_others_stay_where_they_are_and_half_done_ones_are_finished(
    db: RedisDB, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    other = db.queue.submit({"num_epochs": 3}).run_id
    seed(db, settings, count=1, say=lambda *_: None)
    seeded = db.runs.list().runs[0].hyper_params
    half_done = db.queue.submit(seeded, RunOptions(queue=QUEUE)).run_id

    seed(db, settings, count=1, say=lambda *_: None)

    assert db.runs.get(other).status is Status.WAITING
    assert db.runs.get(half_done).status is Status.DONE
    assert db.queue.length() == 1
