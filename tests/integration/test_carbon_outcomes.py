"""What runs that follow the grid saved, by run, by week and by project."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

import redis

from redis_db import RedisDB
from schema import CarbonOptions, CarbonOutcome, Run, RunOptions, SavedWeek, Status
from tests.green_runs import everything
from tests.records import claim, epoch, plan

Ending = Literal[Status.DONE, Status.FAILED]
SUNDAY = date(2026, 3, 8)
WEEK = "2026-W10"


def outcome(**changes: Any) -> CarbonOutcome:
    known = {
        "week": WEEK, "energy_kwh": 0.5, "co2_g": 100, "run_now_co2_g": 160, "saved_g": 60, "zone": "DE",
        "provider": "cached", "basis": "average lifecycle", "paused_s": 7200, "pauses": 2,
    }  # fmt: skip
    return CarbonOutcome.model_validate(known | changes)


def ended(
    db: RedisDB,
    run_id: str,
    project: str = "default",
    *,
    is_simulated: bool = False,
    end: Ending = Status.DONE,
) -> Run:
    """Let a run come to its end."""
    options = RunOptions(carbon=CarbonOptions(), project=project, queue=run_id)
    params = {"num_epochs": 1, "simulated": is_simulated}
    db.queue.submit(params, options, run_id=run_id, plan=plan(datetime(2026, 1, 1, tzinfo=UTC)))
    lease = claim(db, queue=run_id)
    db.runs.record_epoch(lease, epoch(1))
    db.queue.finish(lease, end)
    return db.runs.get(run_id)


def saved(db: RedisDB, project: str | None = None) -> SavedWeek:
    *_, last = db.carbon.list_savings(SUNDAY, 2, project=project)
    return last


def test_an_outcome_stays_with_its_run_and_counts_in_its_week(db: RedisDB, raw: redis.Redis) -> None:
    run = ended(db, "a")
    assert db.carbon.list_unsettled() == [run]
    assert db.carbon.set_outcome(run, outcome())
    assert db.runs.get("a").carbon_outcome == outcome()
    assert db.carbon.list_unsettled() == []
    before, last = db.carbon.list_savings(SUNDAY, 2)
    assert before == SavedWeek(week="2026-W09")
    assert last == SavedWeek(week=WEEK, runs=1, energy_kwh=0.5, co2_g=100, run_now_co2_g=160, saved_g=60)
    stored = everything(raw)
    assert db.carbon.set_outcome(run, outcome())
    assert everything(raw) == stored


def test_an_outcome_that_is_computed_again_replaces_what_counted(db: RedisDB, raw: redis.Redis) -> None:
    run, other = ended(db, "a"), ended(db, "b")
    db.carbon.set_outcome(other, outcome(saved_g=-0.3, co2_g=1.1, run_now_co2_g=0.8, energy_kwh=0.1))
    for revised in (0.1, 60.0, None, 0.2):
        db.carbon.set_outcome(run, outcome(saved_g=revised, energy_kwh=None))
    expected = SavedWeek(week=WEEK, runs=2, energy_kwh=0.1, co2_g=101.1, run_now_co2_g=160.8, saved_g=-0.1)
    assert saved(db) == expected
    db.carbon.set_outcome(run, outcome(week="2026-W09"))
    assert [week.runs for week in db.carbon.list_savings(SUNDAY, 2)] == [1, 1]
    db.carbon.set_outcome(other, outcome(saved_g=None, reason="its energy is unknown"))
    assert raw.hkeys("carbon:saved:default") == ["2026-W09"]
    assert db.runs.get("b").carbon_outcome == outcome(saved_g=None, reason="its energy is unknown")


def test_projects_are_counted_apart_and_together(db: RedisDB) -> None:
    db.carbon.set_outcome(ended(db, "a", "vision"), outcome())
    db.carbon.set_outcome(ended(db, "b", "speech"), outcome(saved_g=5))
    assert (saved(db, "vision").saved_g, saved(db, "speech").saved_g, saved(db).saved_g) == (60, 5, 65)
    assert saved(db).runs == 2
    assert saved(db, "nobody") == SavedWeek(week=WEEK)
    assert db.carbon.list_savings(SUNDAY, 0) == []


def test_what_simulated_runs_saved_counts_nowhere(db: RedisDB) -> None:
    run = ended(db, "a", is_simulated=True)
    assert db.carbon.set_outcome(run, outcome())
    assert db.runs.get("a").carbon_outcome == outcome()
    assert saved(db) == SavedWeek(week=WEEK)


def test_the_savings_of_a_deleted_run_stay(db: RedisDB) -> None:
    db.carbon.set_outcome(ended(db, "a"), outcome())
    db.controls.delete("a")
    assert saved(db).saved_g == 60


def test_a_run_that_was_tried_again_gets_no_outcome_of_before(db: RedisDB, raw: redis.Redis) -> None:
    run = ended(db, "a", end=Status.FAILED)
    db.carbon.set_outcome(run, outcome())
    assert db.controls.retry("a").carbon_outcome == outcome()
    for _ in range(2):
        stored = everything(raw)
        assert not db.carbon.set_outcome(run, outcome(saved_g=1))
        assert everything(raw) == stored
        if db.runs.get("a").status is Status.WAITING:
            db.queue.finish(claim(db, queue="a"), Status.DONE)
    assert db.carbon.set_outcome(db.runs.get("a"), outcome(saved_g=1))
    assert saved(db) == SavedWeek(week=WEEK, runs=1, energy_kwh=0.5, co2_g=100, run_now_co2_g=160, saved_g=1)


def test_a_run_that_follows_no_grid_gets_no_outcome(db: RedisDB, raw: redis.Redis) -> None:
    run = db.queue.submit({"num_epochs": 1}, run_id="a")
    db.controls.cancel("a")
    stored = everything(raw)
    assert not db.carbon.set_outcome(run, outcome())
    assert everything(raw) == stored
    assert db.carbon.list_unsettled() == []
