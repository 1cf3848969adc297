"""What a run emitted and saved stays right while its provider is away and a yearly average stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from flask.testing import FlaskClient

from carbon_aware_trainer.providers import open_provider
from carbon_aware_trainer.providers.chain import Chain
from carbon_aware_trainer.traces import HOUR
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import RecordedIntensities, Run, Status
from settings import Settings
from tests.integration import test_totals
from tests.integration.test_one_figure import YEARLY, hourly, log_of, settled, train
from tests.integration.test_planning_rounds import BASIS, Grid, Program, submit
from tests.integration.test_recorder import SteadyMeter
from tests.integration.test_totals import hour
from tests.planning import room_in_hour
from tests.records import claim, epoch, running
from work.recorder import Recorder

api, room = test_totals.api, room_in_hour
pytestmark = pytest.mark.usefixtures("room_in_hour")
EVER = {"start": "2000-01-01T00:00Z", "end": "2100-01-01T00:00Z", "g_per_kwh": 50.0}
MINE = {"zone": "DE", "provider": "mine", "basis": BASIS, "values": [EVER]}


@pytest.fixture
def grid() -> Grid:
    return Grid()


@pytest.fixture
def program(db: RedisDB, grid: Grid) -> Program:
    """Of a provider for which the yearly average stands in."""
    chain: Any = Chain(grid, open_provider("static"))  # type: ignore[arg-type] # what it asks is there
    return Program(db, chain)


def keep(db: RedisDB, *hours_ago: int, g_per_kwh: float = 600.0) -> None:
    """Record single hours of Germany."""
    present = db.now().replace(minute=0, second=0, microsecond=0)
    for ago in hours_ago:
        known = {"zone": "DE", "provider": "cached", "basis": BASIS, "step_s": 3600}
        start = {"start": present - ago * HOUR, "g_per_kwh": (g_per_kwh,)}
        db.intensities.put(RecordedIntensities.model_validate(known | start))


def trained(db: RedisDB, program: Program, folder: Path) -> Run:
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    train(db, program, claim(db), folder)
    return db.runs.get(run_id)


def look_again(db: RedisDB, program: Program, raw: redis.Redis, run: Run, *, after_h: float) -> Run:
    raw.delete(f"carbon:fetching:carbon-settle:{run.run_id}", "carbon:fetching:carbon-newest:DE")
    program.rounds.run_round(db.now() + after_h * HOUR)
    return db.runs.get(run.run_id)


def test_an_outage_while_a_run_is_settled_leaves_its_co2_as_it_is(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis, tmp_path: Path
) -> None:
    program.rounds.refresh(["DE"], db.now())
    before = trained(db, program, tmp_path)
    grid.is_down = True
    run = look_again(db, program, raw, before, after_h=1)
    latest = program.intensities.find_trace("DE", db.now(), db.now() + 2 * HOUR)
    assert latest is not None
    assert latest.provider == "static"
    assert before.energy_kwh is not None
    assert run.co2_g == before.co2_g == pytest.approx(before.energy_kwh * hourly(db), rel=1e-5)
    assert run.recomputations == 0
    assert run.carbon_outcome is not None
    assert (run.carbon_outcome.provider, run.carbon_outcome.reason) == ("cached", None)


def test_what_its_provider_has_not_recorded_yet_is_waited_for_though_a_yearly_average_is_known(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis, tmp_path: Path
) -> None:
    keep(db, 3, 2, 1, g_per_kwh=200.0)
    grid.is_down = True
    before = trained(db, program, tmp_path)
    assert before.energy_kwh is not None
    assert before.co2_g == pytest.approx(200 * before.energy_kwh, rel=1e-5)
    waits = look_again(db, program, raw, before, after_h=0)
    assert (waits.carbon_outcome, waits.co2_g) == (None, before.co2_g)
    grid.is_down = False
    run = look_again(db, program, raw, before, after_h=1)
    assert run.carbon_outcome is not None
    assert run.carbon_outcome.provider == "cached"
    assert run.co2_g == pytest.approx(hourly(db) * before.energy_kwh, rel=1e-5)


@pytest.mark.parametrize(("after_h", "least_s", "most_s"), [(0, 3, 5), (0.5, 80, 95), (12, 290, 300)])
def test_a_run_that_waits_for_its_provider_is_looked_at_ever_more_rarely(
    db: RedisDB,
    program: Program,
    grid: Grid,
    raw: redis.Redis,
    tmp_path: Path,
    after_h: float,
    least_s: int,
    most_s: int,
) -> None:
    grid.is_down = True
    run = look_again(db, program, raw, trained(db, program, tmp_path), after_h=after_h)
    assert run.carbon_outcome is None
    assert least_s <= raw.ttl(f"carbon:fetching:carbon-settle:{run.run_id}") <= most_s


def test_a_run_is_never_corrected_with_a_yearly_average(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis, tmp_path: Path
) -> None:
    grid.is_down = True
    before = trained(db, program, tmp_path)
    assert before.energy_kwh is not None
    assert before.co2_g == pytest.approx(YEARLY.g_per_kwh * before.energy_kwh, rel=1e-5)
    assert look_again(db, program, raw, before, after_h=0).carbon_outcome is None
    run = look_again(db, program, raw, before, after_h=25)
    assert (run.recomputations, run.co2_g) == (0, before.co2_g)
    assert run.carbon_outcome is not None
    assert "No intensities of DE were recorded" in (run.carbon_outcome.reason or "")


def test_without_a_provider_by_the_hour_the_co2_stays_as_it_was_charged(db: RedisDB) -> None:
    yearly: Any = open_provider("static")
    program = Program(db, yearly)
    program.intensities.name = "static"
    run_id = submit(db, program)
    lease = claim(db)
    result = epoch(1, energy_kwh=2.0, co2_g=1.0, energy_quality="measured", ended_at=db.now(), duration_s=0.5)
    db.runs.record_epoch(lease, result)
    db.queue.finish(lease, Status.DONE)
    run = settled(db, program, run_id)
    assert (run.co2_g, run.recomputations) == (1.0, 0)
    assert run.carbon_outcome is not None
    assert (run.carbon_outcome.provider, run.carbon_outcome.saved_g) == ("static", 0)


def test_what_a_run_saved_is_computed_later_when_redis_gave_no_answer(
    db: RedisDB, program: Program, raw: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.rounds.refresh(["DE"], db.now())
    run = trained(db, program, tmp_path)

    def fail(*_: object) -> None:
        raise StoreUnavailable("Redis cannot be reached.")

    with monkeypatch.context() as outage:
        outage.setattr(db.intensities, "find", fail)
        with pytest.raises(StoreUnavailable):
            program.rounds._settling.settle(run, db.now())
    assert db.runs.get(run.run_id).carbon_outcome is None
    found = look_again(db, program, raw, run, after_h=0).carbon_outcome
    assert found is not None
    assert found.reason is None


def test_what_a_run_saved_is_kept_where_its_co2_cannot_be_computed_again(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis, tmp_path: Path
) -> None:
    keep(db, 2, 1, g_per_kwh=200.0)
    grid.is_down = True
    before = trained(db, program, tmp_path)
    (first, *_) = raw.hkeys(f"run:{before.run_id}:epochs")
    raw.hdel(f"run:{before.run_id}:epochs", first)  # as of a run whose records are no longer whole
    grid.is_down = False
    run = look_again(db, program, raw, before, after_h=1)
    assert run.carbon_outcome is not None
    assert run.carbon_outcome.reason is None
    assert (run.co2_g, run.recomputations) == (before.co2_g, 0)


@pytest.mark.parametrize("is_gone", [False, True], ids=["its provider is away", "its record is gone"])
def test_figures_of_a_saving_are_not_replaced_by_none(
    db: RedisDB,
    program: Program,
    grid: Grid,
    api: FlaskClient,
    raw: redis.Redis,
    tmp_path: Path,
    is_gone: bool,
) -> None:
    program.rounds.refresh(["DE"], db.now())
    before = settled(db, program, trained(db, program, tmp_path).run_id)
    assert before.carbon_outcome is not None
    assert before.carbon_outcome.saved_g is not None
    assert api.post(f"/api/runs/{before.run_id}/recompute", json=MINE).get_json()["changed"]
    grid.is_down = True
    if is_gone:
        raw.delete("none", *raw.keys("carbon:intensities:*"), *raw.keys("carbon:*:DE:cached*"))
        present = db.now().replace(minute=0, second=0, microsecond=0)
        assert program.intensities.find_trace_of("cached", "DE", present, db.now()) is None
    lines = log_of(db, before.run_id).count("It saved")
    run = look_again(db, program, raw, before, after_h=30)
    assert run.carbon_outcome == before.carbon_outcome
    assert not db.carbon.list_unsettled()
    assert log_of(db, before.run_id).count("It saved") <= lines + (not is_gone)


def test_hours_that_an_outage_left_out_are_fetched_after_it(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis
) -> None:
    first = db.now().replace(minute=2)
    for passed in range(30):
        grid.is_down = 5 <= passed < 15
        raw.delete("carbon:fetching:carbon-newest:DE")
        program.intensities.refresh("DE", first + passed * HOUR)
    trace = program.intensities.find_trace("DE", first - HOUR, first + 30 * HOUR)
    assert trace is not None
    assert trace.provider == "cached"
    assert np.isfinite(trace.g_per_kwh).all()


def test_a_long_attempt_is_charged_with_all_of_its_hours_at_its_end(
    db: RedisDB, program: Program, tmp_path: Path
) -> None:
    keep(db, *range(102), g_per_kwh=200.0)
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    lease, began = claim(db), db.now() - 100 * HOUR
    lease = lease.model_copy(update={"run": lease.run.model_copy(update={"started_at": began})})
    in_force = program.rounds.look_at("DE", YEARLY)
    meter: Any = SteadyMeter()
    Recorder(db, Settings(data_dir=tmp_path), lease, meter, in_force).close()
    in_force.refresh(db.now())
    found = in_force.over(began, db.now())
    assert (found.provider, found.g_per_kwh) == ("cached", 200)


def test_a_person_s_own_values_are_replaced_by_those_of_the_run_s_provider_with_an_empty_body(
    db: RedisDB, program: Program, api: FlaskClient, tmp_path: Path
) -> None:
    program.rounds.refresh(["DE"], db.now())
    before = trained(db, program, tmp_path)
    assert api.post(f"/api/runs/{before.run_id}/recompute", json=MINE).get_json()["changed"]
    reply = api.post(f"/api/runs/{before.run_id}/recompute", json={}).get_json()
    assert reply["source"]["provider"] == "cached"
    assert reply["co2_g"] == pytest.approx(before.co2_g, rel=1e-5)


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_run_with_a_zone_s_yearly_average_is_computed_again_under_the_code_of_its_country(
    db: RedisDB, api: FlaskClient, is_sent: bool
) -> None:
    lease = running(db)
    db.runs.describe(lease, {"intensity_zone": "DE", "intensity_provider": "static"})
    db.runs.record_epoch(lease, hour(1, 1))
    db.queue.finish(lease, Status.DONE)
    if is_sent:
        assert api.post(f"/api/runs/{lease.run_id}/recompute", json=MINE).get_json()["changed"]
    reply = api.post(f"/api/runs/{lease.run_id}/recompute", json={}).get_json()
    energy_kwh = db.runs.get(lease.run_id).energy_kwh
    assert energy_kwh is not None
    assert reply["source"]["zone"] == "DEU"
    assert reply["co2_g"] == pytest.approx(YEARLY.g_per_kwh * energy_kwh, rel=1e-5)
