"""The zones where workers live are looked at and learned from, a bounded number at a time."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
import redis

from carbon_aware_trainer.errors import UnknownZone
from carbon_aware_trainer.providers import country_intensity
from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from redis_db import RedisDB
from scheduling import rounds
from scheduling.intensities import MAX_QUESTIONS
from scheduling.rounds import MAX_ZONES
from schema import CarbonOptions, RunOptions, Status
from tests.integration.test_planning_rounds import BASIS, HYPER_PARAMS, Grid, Program, submit
from tests.planning import worker_in
from tests.programs import wait_until

MANY = [f"Z{number:02d}" for number in range(2 * MAX_ZONES + 3)]


class ManyZones(Grid):
    """The same in several zones; counts the questions about each, and forecasts while it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.forecasts_at: datetime | None = None

    def check_zone(self, zone: str) -> None:
        if zone not in ("DE", "FR", "GB", *MANY):
            raise UnknownZone(f"{zone!r} is no known zone.")

    def fetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        self.asked[zone] += 1
        return super().fetch_history(zone, start, end)

    def fetch_forecast(self, zone: str, horizon: timedelta = HOUR) -> Forecast:
        if self.forecasts_at is None:
            return super().fetch_forecast(zone, horizon)
        start = self.forecasts_at.replace(minute=0, second=0, microsecond=0)
        values = np.array([600.0] * 12 + [50.0] * 60)
        return Forecast(
            zone, self.name, BASIS, self.forecasts_at, start, HOUR, values, values, values, "theirs"
        )


@pytest.fixture
def grid() -> ManyZones:
    return ManyZones()


@pytest.fixture
def program(db: RedisDB, grid: ManyZones) -> Program:
    return Program(db, grid)


def live_in(db: RedisDB, *zones: str) -> None:
    for zone in zones:
        db.workers.beat(worker_in(zone), ttl_s=60)


def tick(program: Program) -> None:
    program.rounds.begin()
    program.rounds.wait(60)


def test_a_tick_fetches_what_is_in_force_where_a_worker_lives_once_in_a_slot(
    db: RedisDB, program: Program, grid: ManyZones, raw: redis.Redis
) -> None:
    db.locks.acquire("learn", ttl_s=60)
    live_in(db, "FR", "MOON")
    for _ in range(3):
        tick(program)
        raw.delete("lock:replan", "lock:intensities")
    assert grid.asked == {"FR": 1}
    assert program.intensities.find_trace("FR", db.now() - HOUR, db.now()) is not None


def test_the_zones_of_live_workers_are_learned_from_though_nobody_waits_for_them(
    db: RedisDB, program: Program, grid: ManyZones, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "MAX_QUESTIONS", 200)
    live_in(db, "FR")
    tick(program)
    assert db.intensities.find_forecaster("FR", "cached") is not None
    trace = program.intensities.find_trace("FR", db.now() - timedelta(days=400), db.now())
    assert trace is not None
    assert trace.end - trace.start > timedelta(days=359)


def test_a_tick_asks_a_bounded_number_of_questions_and_the_rest_later(
    db: RedisDB, program: Program, grid: ManyZones, raw: redis.Redis
) -> None:
    live_in(db, "FR", "GB")
    now = db.now()
    for zone in ("DE", "FR", "GB"):
        program.intensities.outlook(zone, now)
    before = grid.fetches
    for _ in range(3):
        asked = grid.fetches
        program.rounds.learn(["DE", "FR", "GB"], now)
        assert grid.fetches - asked <= MAX_QUESTIONS
        raw.delete("none", *(key for key in raw.keys("*carbon-learn:*") if raw.ttl(key) <= 3600))
    assert grid.fetches - before > MAX_QUESTIONS
    for zone in ("DE", "FR", "GB"):
        trace = program.intensities.find_trace(zone, now - timedelta(days=400), now)
        assert trace is not None
        assert trace.end - trace.start > timedelta(days=359)


def test_of_many_zones_some_are_looked_at_each_time_and_all_in_turn(
    db: RedisDB, program: Program, grid: ManyZones
) -> None:
    now = db.now()
    for look in range(3):
        before = len(grid.asked)
        program.rounds.refresh(MANY, now + timedelta(seconds=60 * look))
        assert len(grid.asked) - before <= MAX_ZONES
    assert set(grid.asked) == set(MANY)


def test_the_forecast_that_a_provider_gave_before_it_failed_is_planned_with_until_it_is_stale(
    db: RedisDB, program: Program, grid: ManyZones
) -> None:
    now = db.now()
    grid.forecasts_at = now
    program.intensities.outlook("DE", now)
    grid.is_down = True  # its client keeps the forecast that it gave
    later = now + timedelta(hours=4)
    grid.forecasts_at = later - 2 * HOUR
    outlook = program.intensities.outlook("DE", later)
    assert outlook.forecast is not None
    assert (outlook.forecast.method, outlook.known_at) == ("theirs", later - 2 * HOUR)
    plan = program.planner.plan_submission(
        HYPER_PARAMS, RunOptions(carbon=CarbonOptions.model_validate({})), later
    )
    assert plan is not None
    assert plan.start_at > later
    assert f"known at {later - 2 * HOUR:%Y-%m-%d %H:%M} UTC" in plan.reason

    grid.forecasts_at = None
    stale = program.intensities.outlook("DE", later)
    assert stale.forecast is None
    assert "too old to plan with" in (stale.reason or "")


def test_values_that_are_kept_say_from_when_they_are(db: RedisDB, program: Program, grid: ManyZones) -> None:
    now = db.now()
    present = program.intensities.outlook("DE", now)
    assert (present.known_at, present.reason) == (None, None)
    grid.is_down = True
    kept = program.intensities.outlook("DE", now + 2 * HOUR)
    assert kept.forecast is not None
    assert kept.known_at == now.replace(minute=0, second=0, microsecond=0) + HOUR


def test_a_run_stored_with_other_names_of_its_zones_is_planned_for_the_queue_of_one(
    db: RedisDB, program: Program, grid: ManyZones
) -> None:
    live_in(db, "DE", "FR")
    run_id = submit(db, zones=("FRA", "DEU"))
    program.rounds.run_round(db.now())
    run: Any = db.runs.get(run_id)
    assert run.carbon.zone in ("DE", "FR")
    assert "nothing can be planned" not in run.carbon.reason
    if run.status is Status.WAITING:
        assert db.queue.claim([f"zone-{run.carbon.zone.lower()}"], worker_id="w", lease_s=9) is not None
    assert grid.asked.keys() <= {"DE", "FR"}


def test_a_yearly_average_is_neither_looked_at_nor_learned(
    db: RedisDB, program: Program, grid: ManyZones
) -> None:
    program.intensities.name = "static"
    live_in(db, "FR")
    db.locks.acquire("learn", ttl_s=60)
    tick(program)
    assert grid.fetches == 0
    assert db.locks.acquire("intensities", ttl_s=1)


def test_a_worker_that_has_just_started_is_looked_up_though_others_have_just_looked(
    db: RedisDB, program: Program, grid: ManyZones
) -> None:
    for job in ("learn", "intensities"):
        db.locks.acquire(job, ttl_s=60)
    live_in(db, "FR")
    tick(program)
    assert grid.fetches == 0
    in_force = program.rounds.look_at("FR", country_intensity("FRA"))

    def is_asked_for() -> bool:
        tick(program)
        return grid.asked == {"FR": 1}

    wait_until(is_asked_for, what="its zone is asked for")
    in_force.refresh(db.now())
    assert in_force.has_values


def test_a_program_that_knows_no_zone_looks_again_soon(db: RedisDB, program: Program) -> None:
    now = db.now()
    program.rounds.refresh(["DE"], now)
    assert program.rounds._look_every_s == 60
    program.rounds.refresh([], now)
    assert program.rounds._look_every_s == 5


def test_a_zone_of_which_nothing_is_known_is_asked_for_once_a_minute_and_says_why(
    db: RedisDB, program: Program, grid: ManyZones, raw: redis.Redis
) -> None:
    grid.is_down = True
    now = db.now()
    for _ in range(3):
        assert "gave no answer" in (program.intensities.outlook("DE", now).reason or "")
    assert grid.asked == {"DE": 1}
    (kept,) = raw.keys("*carbon-trouble:DE")
    assert 0 < raw.ttl(kept) <= 60
    raw.delete(kept)
    grid.is_down = False
    assert program.intensities.outlook("DE", now).forecast is not None
