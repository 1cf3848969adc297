"""Planning on a real store: who fetches, what is kept, what a round does, and that nobody waits for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from carbon_aware_trainer.errors import ForecastUnavailable, ProviderDown, UnknownZone
from carbon_aware_trainer.records import Basis
from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from errors import InvalidInput
from redis_db import RedisDB
from scheduling import Intensities, Planner, Rounds, open_intensities
from schema import CarbonOptions, RunOptions, Status
from settings import Settings
from tests.programs import wait_until
from tests.records import claim, epoch

BASIS: Basis = "average lifecycle"
HYPER_PARAMS: dict[str, Any] = {
    "trainer": "cnn",
    "network": "small_cnn",
    "dataset": "digits",
    "num_epochs": 2,
}


class Grid:
    """A provider whose days are dirty, but clean from 18 to 24 UTC; it can fail and hang, and counts."""

    name = "cached"
    basis: Basis = BASIS

    def __init__(self) -> None:
        self.fetches = 0
        self.is_down = False
        self.hangs = threading.Event()
        self.hangs.set()

    def check_zone(self, zone: str) -> None:
        if zone != "DE":
            raise UnknownZone(f"{zone!r} is no known zone.")

    def fetch_history(self, zone: str, start: datetime, end: datetime) -> Trace:
        self.fetches += 1
        self.hangs.wait()
        if self.is_down:
            raise ProviderDown("The provider gave no answer.")
        first = start.replace(minute=0, second=0, microsecond=0)
        hours = int(np.ceil((end - first) / HOUR))
        values = [100.0 if (first + n * HOUR).hour >= 18 else 600.0 for n in range(hours)]
        return Trace(zone, self.name, BASIS, first, HOUR, np.array(values))

    def fetch_forecast(self, zone: str, horizon: timedelta = HOUR) -> Forecast:  # noqa: ARG002 - none
        raise ForecastUnavailable(f"There is no forecast of {zone}.")


class Program:
    """What one program plans with."""

    def __init__(self, db: RedisDB, grid: Grid, *, stale_s: float = 3 * 3600) -> None:
        provider: Any = grid
        self.intensities = Intensities(
            "cached", lambda: provider, db.intensities, db.cache, stale_after=timedelta(seconds=stale_s)
        )
        settings = Settings(zone="DE", data_dir=Path("/nonexistent"), _env_file=None)
        self.planner = Planner(db, settings, self.intensities)
        self.rounds = Rounds(db, self.planner, self.intensities)


@pytest.fixture
def grid() -> Iterator[Grid]:
    found = Grid()
    yield found
    found.hangs.set()


@pytest.fixture
def program(db: RedisDB, grid: Grid) -> Program:
    return Program(db, grid)


def submit(db: RedisDB, program: Program | None = None, **wishes: Any) -> str:
    options = RunOptions(carbon=CarbonOptions.model_validate(wishes))
    plan = None if program is None else program.planner.plan_submission(HYPER_PARAMS, options, db.now())
    return db.queue.submit(HYPER_PARAMS, options, plan=plan).run_id


def log_of(db: RedisDB, run_id: str) -> str:
    return "\n".join(line.text for line in db.log.list(run_id))


def test_one_program_fetches_and_all_have_it(db: RedisDB, grid: Grid, program: Program) -> None:
    now = db.now()
    first = program.intensities.outlook("DE", now)
    assert (grid.fetches, first.reason) == (1, None)
    second = Program(db, grid).intensities.outlook("DE", now)
    assert grid.fetches == 1
    assert first.forecast is not None
    assert second.forecast is not None
    np.testing.assert_allclose(first.forecast.g_per_kwh, second.forecast.g_per_kwh)


def test_the_forecast_is_that_of_the_days_before(db: RedisDB, program: Program) -> None:
    forecast = program.intensities.outlook("DE", db.now()).forecast
    assert forecast is not None
    evening = next(n for n in range(24) if (forecast.start + n * HOUR).hour == 20)
    morning = next(n for n in range(24) if (forecast.start + n * HOUR).hour == 8)
    assert forecast.g_per_kwh[evening] < forecast.g_per_kwh[morning]


def test_a_failing_provider_is_made_up_for_by_what_is_kept_until_that_is_stale(
    db: RedisDB, grid: Grid, program: Program
) -> None:
    now = db.now()
    program.intensities.outlook("DE", now)
    grid.is_down = True
    assert program.intensities.outlook("DE", now + 2 * HOUR).forecast is not None
    stale = program.intensities.outlook("DE", now + 5 * HOUR)
    assert stale.forecast is None
    assert "too old to plan with" in (stale.reason or "")


def test_a_zone_without_any_answer_says_why(db: RedisDB, grid: Grid, program: Program) -> None:
    grid.is_down = True
    assert "gave no answer" in (program.intensities.outlook("DE", db.now()).reason or "")


def test_nobody_waits_longer_than_asked_for_a_provider_that_hangs(
    db: RedisDB, grid: Grid, program: Program
) -> None:
    grid.hangs.clear()
    outlook = program.intensities.outlooks(["DE"], db.now(), limit_s=0.1)["DE"]
    assert "no answer within 0.1 s" in (outlook.reason or "")


def test_a_provider_that_hangs_is_made_up_for_by_what_is_kept_until_that_is_stale(
    db: RedisDB, grid: Grid, program: Program
) -> None:
    now = db.now()
    program.intensities.outlook("DE", now)
    grid.hangs.clear()
    kept = program.intensities.outlooks(["DE"], now + 2 * HOUR, limit_s=0.1)["DE"]
    assert kept.forecast is not None
    assert kept.reason is None
    stale = program.intensities.outlooks(["DE"], now + 5 * HOUR, limit_s=0.1)["DE"]
    assert stale.forecast is None
    assert "too old to plan with" in (stale.reason or "")


def test_a_year_that_could_not_be_fetched_is_asked_for_again_within_the_day(
    db: RedisDB, grid: Grid, program: Program, raw: redis.Redis
) -> None:
    now = db.now()
    program.intensities.outlook("DE", now)
    grid.is_down = True
    program.intensities.learn("DE", now)
    asked = grid.fetches
    grid.is_down = False
    program.intensities.learn("DE", now)
    assert grid.fetches == asked  # not at once
    (claimed,) = raw.keys("*carbon-learn:DE")
    assert 0 < raw.ttl(claimed) <= 3600
    raw.delete(claimed)
    program.intensities.learn("DE", now)
    assert grid.fetches > asked
    assert raw.ttl(claimed) > 3600


def test_a_kept_forecaster_that_cannot_be_read_is_fitted_anew(
    db: RedisDB, program: Program, grid: Grid
) -> None:
    now = db.now()
    program.intensities.outlook("DE", now)
    kept = db.intensities.find_forecaster("DE", "cached")
    assert kept is not None
    db.intensities.save_forecaster("DE", "cached", b"average lifecycle\nx\nno archive")
    assert Program(db, grid).intensities.outlook("DE", now).forecast is not None
    assert db.intensities.find_forecaster("DE", "cached") != b"average lifecycle\nx\nno archive"


def test_a_year_is_learned_from_once_a_day(db: RedisDB, grid: Grid, program: Program) -> None:
    now = db.now()
    program.intensities.learn("DE", now)
    trace = program.intensities.find_trace("DE", now - 400 * 24 * HOUR, now)
    assert trace is not None
    assert trace.end - trace.start > timedelta(days=359)
    fitted = db.intensities.find_forecaster("DE", "cached")
    program.intensities.learn("DE", now + HOUR / 2)
    assert db.intensities.find_forecaster("DE", "cached") == fitted


def test_a_tick_without_plans_touches_one_lock_and_two_sets(
    db: RedisDB, program: Program, grid: Grid
) -> None:
    db.locks.acquire("learn", ttl_s=60)
    program.rounds.begin()
    assert grid.fetches == 0
    program.rounds.wait(0)


def test_a_tick_does_not_wait_for_a_provider_that_hangs(db: RedisDB, program: Program, grid: Grid) -> None:
    run_id = submit(db)  # without a plan: due at once
    grid.hangs.clear()
    program.rounds.begin()
    program.rounds.begin()
    wait_until(lambda: grid.fetches)
    grid.hangs.set()
    program.rounds.wait(30)
    assert db.runs.get(run_id).carbon is not None


def test_a_run_that_was_submitted_without_a_plan_gets_one(db: RedisDB, program: Program) -> None:
    run_id = submit(db, max_delay_h=48)
    program.rounds.run_round(db.now())
    run = db.runs.get(run_id)
    assert run.carbon is not None
    assert run.carbon.zone == "DE"
    assert run.carbon.reason in log_of(db, run_id)


def test_a_run_that_waits_while_all_are_busy_is_deferred_again(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis
) -> None:
    grid.is_down = True
    run_id = submit(db, program)
    assert db.runs.get(run_id).status is Status.WAITING
    grid.is_down = False
    raw.zadd("queue:carbon", {run_id: 0})
    raw.delete("carbon:answer:carbon-trouble:DE")  # as after a minute

    at = db.now().replace(hour=8)
    program.rounds.run_round(at)

    run = db.runs.get(run_id)
    assert run.carbon is not None
    assert run.carbon.start_at.hour == 18
    assert run.status is (Status.DEFERRED if run.carbon.start_at > db.now() else Status.WAITING)


def test_two_programs_do_not_plan_the_same_runs_at_once(db: RedisDB, program: Program, grid: Grid) -> None:
    run_id = submit(db)
    token = db.cache.claim("carbon-round", ttl_s=60)
    assert token is not None
    program.rounds.run_round(db.now())
    assert db.runs.get(run_id).carbon is None
    db.cache.release("carbon-round", token)
    program.rounds.run_round(db.now())
    assert db.runs.get(run_id).carbon is not None


def test_a_run_that_cannot_be_planned_runs_and_keeps_no_other_from_being_planned(
    db: RedisDB, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = submit(db), submit(db)
    replan = program.planner.replan

    def fail(run: Any, scene: Any) -> Any:
        if run.run_id == broken:
            raise InvalidInput("It is broken.")
        return replan(run, scene)

    monkeypatch.setattr(program.planner, "replan", fail)
    program.rounds.run_round(db.now())
    assert "planning failed: It is broken" in log_of(db, broken)
    assert db.runs.get(broken).status is Status.WAITING
    assert db.runs.get(sound).carbon is not None


def test_what_a_run_saved_is_settled_and_counted_once(db: RedisDB, program: Program) -> None:
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    lease = claim(db)
    result = epoch(1, energy_kwh=2.0, co2_g=1.0, energy_quality="measured", ended_at=db.now(), duration_s=0.5)
    db.runs.record_epoch(lease, result)
    db.queue.finish(lease, Status.DONE)
    for _ in range(2):
        program.rounds.run_round(db.now())
    outcome = db.runs.get(run_id).carbon_outcome
    assert outcome is not None
    assert outcome.reason is None
    assert outcome.co2_g in (pytest.approx(200), pytest.approx(1200))
    assert log_of(db, run_id).count("It saved 0 %") == 1
    week = db.carbon.list_savings(db.now().date(), 1)[0]
    assert week.runs == 1
    assert week.energy_kwh == pytest.approx(2.0)


def test_what_a_run_saved_is_settled_once_the_intensities_have_come(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis
) -> None:
    grid.is_down = True
    run_id = submit(db, program)
    lease = claim(db)
    result = epoch(1, energy_kwh=2.0, co2_g=1.0, energy_quality="measured", ended_at=db.now(), duration_s=0.5)
    db.runs.record_epoch(lease, result)
    db.queue.finish(lease, Status.DONE)
    program.rounds.run_round(db.now())
    assert db.runs.get(run_id).carbon_outcome is None

    grid.is_down = False
    raw.delete(f"carbon:fetching:carbon-settle:{run_id}", "carbon:answer:carbon-trouble:DE")
    program.rounds.run_round(db.now())

    outcome = db.runs.get(run_id).carbon_outcome
    assert outcome is not None
    assert outcome.reason is None


def test_a_file_that_is_not_there_is_looked_for_again(db: RedisDB, tmp_path: Path) -> None:
    file = tmp_path / "grid.json"
    settings = Settings(carbon_model="cached", carbon_file=file, zone="DE", data_dir=tmp_path, _env_file=None)
    intensities = open_intensities(settings, db.intensities, db.cache)
    now = db.now()
    reason = intensities.outlook("DE", now).reason or ""
    assert "grid.json" in reason
    assert str(tmp_path) not in reason
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    points = [{"timestamp": (hour + n * HOUR).isoformat(), "carbon_intensity": 300.0} for n in range(-48, 24)]
    file.write_text(json.dumps({"regions": {"DE": {"historical": points}}}))
    assert intensities.outlook("DE", now).forecast is not None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"carbon_model": "cached"}, "WATTLE_CARBON_FILE"),
        ({"carbon_model": "electricitymaps"}, "WATTLE_CARBON_MODEL"),
        ({"carbon_model": "static", "carbon_fallback": "cached"}, "WATTLE_CARBON_FILE"),
    ],
)
def test_settings_that_cannot_work_are_told_at_the_start(db: RedisDB, wrong: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        open_intensities(Settings(_env_file=None, **wrong), db.intensities, db.cache)


def test_a_yearly_average_is_no_reason_to_wait_but_one_to_choose_a_zone(db: RedisDB, tmp_path: Path) -> None:
    settings = Settings(zone="DE", data_dir=tmp_path, _env_file=None)
    planner = Planner(db, settings, open_intensities(settings, db.intensities, db.cache))
    plan = planner.plan_submission(
        HYPER_PARAMS, RunOptions(carbon=CarbonOptions.model_validate({"zones": ["DE", "FR"]})), db.now()
    )
    assert plan is not None
    assert plan.start_at <= db.now()
    assert plan.zone == "FR"
    assert plan.method == "the yearly average, for every hour"
