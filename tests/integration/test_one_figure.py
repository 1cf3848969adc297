"""A run's CO2 and what its plan saved rest on the same intensities, whenever those come."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from flask.testing import FlaskClient

from carbon_aware_trainer.energy import EnergyMonitor
from carbon_aware_trainer.providers import country_intensity
from carbon_aware_trainer.records import Basis
from redis_db import RedisDB
from schema import Lease, Run, Status
from settings import Settings
from tests.integration import test_totals
from tests.integration.test_planning_rounds import Grid, Program, submit
from tests.integration.test_recorder import SteadyMeter
from tests.integration.test_totals import hour
from tests.planning import room_in_hour
from tests.records import claim, epoch, running
from work.messages import Ended, EpochEnded
from work.recorder import Recorder

api, room = test_totals.api, room_in_hour
pytestmark = pytest.mark.usefixtures("room_in_hour")
YEARLY = country_intensity("DEU")


@pytest.fixture
def grid() -> Grid:
    return Grid()


@pytest.fixture
def program(db: RedisDB, grid: Grid) -> Program:
    return Program(db, grid)


def train(db: RedisDB, program: Program, lease: Lease, folder: Path) -> None:
    """Let a worker in Germany record two epochs and the end of a run, without settling it."""
    in_force = program.rounds.look_at("DE", YEARLY)
    in_force.refresh(db.now())
    meter: Any = SteadyMeter()
    recorder = Recorder(db, Settings(data_dir=folder), lease, cast("EnergyMonitor", meter), in_force)
    for number in (1, 2):
        end_ns = time.monotonic_ns()
        result = epoch(number, duration_s=0.5)
        recorder.take(EpochEnded(result=result, span_ns=(end_ns - 500_000_000, end_ns)))
    recorder.end(Ended(outcome="done"))
    recorder.close()
    assert recorder.journal.flush()


def settled(db: RedisDB, program: Program, run_id: str) -> Run:
    program.rounds.run_round(db.now())
    run = db.runs.get(run_id)
    assert run.carbon_outcome is not None
    return run


def hourly(db: RedisDB) -> float:
    """What the grid of the tests emits now."""
    return 100.0 if db.now().hour >= 18 else 600.0


def test_a_run_is_charged_with_what_its_outcome_is(db: RedisDB, program: Program, tmp_path: Path) -> None:
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    program.rounds.refresh(["DE"], db.now())
    train(db, program, claim(db), tmp_path)
    run = settled(db, program, run_id)
    assert run.carbon_outcome is not None
    assert run.energy_kwh is not None
    assert run.co2_g == pytest.approx(run.energy_kwh * hourly(db), rel=1e-5)
    assert run.carbon_outcome.co2_g == pytest.approx(run.co2_g, rel=1e-5)
    # Nothing had to be computed again for that.
    assert run.recomputations == 0
    assert (run.environment["intensity_provider"], run.environment["intensity_zone"]) == ("cached", "DE")
    assert {each.intensity_g_per_kwh for each in db.runs.list_epochs(run_id)} == {hourly(db)}


def test_values_that_come_late_give_the_run_the_figure_of_its_outcome(
    db: RedisDB, program: Program, grid: Grid, raw: redis.Redis, tmp_path: Path
) -> None:
    grid.is_down = True
    run_id = submit(db, program)
    program.rounds.refresh(["DE"], db.now())
    train(db, program, claim(db), tmp_path)
    before = db.runs.get(run_id)
    assert before.energy_kwh is not None
    assert before.co2_g == pytest.approx(before.energy_kwh * YEARLY.g_per_kwh, rel=1e-5)
    assert "yearly average of DEU for now: nothing is recorded of DE yet" in log_of(db, run_id)

    grid.is_down = False
    raw.delete("carbon:answer:carbon-trouble:DE")  # as after a minute
    run = settled(db, program, run_id)

    assert run.carbon_outcome is not None
    assert run.co2_g == pytest.approx(before.energy_kwh * hourly(db), rel=1e-5)
    assert run.carbon_outcome.co2_g == pytest.approx(run.co2_g, rel=1e-5)
    assert run.co2_source is not None
    assert (run.co2_source.provider, run.recomputations) == ("cached", 1)
    assert [each.co2_g for each in run.co2_revisions] == [before.co2_g]
    day = db.accounts.list_days(db.now().date(), 1).popitem()[1][0]
    assert day.co2_g == pytest.approx(run.co2_g, rel=1e-5)
    assert "with what cached recorded by now" in log_of(db, run_id)


@pytest.mark.parametrize("basis", ["marginal lifecycle", "average direct"])
def test_a_provider_on_another_basis_is_planned_with_and_charges_nothing(
    db: RedisDB, program: Program, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, basis: Basis
) -> None:
    monkeypatch.setattr(Grid, "basis", basis)
    monkeypatch.setattr("tests.integration.test_planning_rounds.BASIS", basis)
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    program.rounds.refresh(["DE"], db.now())
    train(db, program, claim(db), tmp_path)
    run = settled(db, program, run_id)
    assert run.energy_kwh is not None
    assert run.co2_g == pytest.approx(run.energy_kwh * YEARLY.g_per_kwh, rel=1e-5)
    assert run.environment["intensity_basis"] == "average lifecycle"
    assert run.recomputations == 0
    assert run.carbon_outcome is not None
    assert run.carbon_outcome.basis == basis
    assert run.carbon_outcome.co2_g == pytest.approx(run.energy_kwh * hourly(db), rel=1e-5)
    assert f"({basis})" in log_of(db, run_id)
    assert f"the figures of cached are {basis}" in log_of(db, run_id)


@pytest.mark.parametrize(("most_g", "is_over"), [(0.05, True), (0.2, False)])
def test_a_budget_of_co2_is_counted_with_the_hour_s_figure(
    db: RedisDB, program: Program, grid: Grid, tmp_path: Path, most_g: float, is_over: bool
) -> None:
    # 0.05 Wh an epoch: with 900 g/kWh 0.045 g, with the year's average 0.019 g.
    now = db.now()
    program.rounds.refresh(["DE"], now)
    known = db.intensities.find("DE", "cached", now.replace(minute=0, second=0, microsecond=0), now)
    assert known is not None
    db.intensities.put(known.model_copy(update={"g_per_kwh": (900.0,)}))
    in_force = program.rounds.look_at("DE", YEARLY)
    in_force.refresh(now)
    submit(db, max_co2_g=most_g)
    meter: Any = SteadyMeter()
    recorder = Recorder(db, Settings(data_dir=tmp_path), claim(db), meter, in_force)
    end_ns = time.monotonic_ns()
    recorder.take(EpochEnded(result=epoch(1, duration_s=0.5), span_ns=(end_ns - 500_000_000, end_ns)))
    recorder.close()
    assert (recorder.over_budget is not None) == is_over


def test_a_figure_that_a_person_computed_again_stays(
    db: RedisDB, program: Program, api: FlaskClient, raw: redis.Redis, tmp_path: Path
) -> None:
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    program.rounds.refresh(["DE"], db.now())
    train(db, program, claim(db), tmp_path)
    settled(db, program, run_id)
    day_long = {"start": "2000-01-01T00:00Z", "end": "2100-01-01T00:00Z", "g_per_kwh": 50.0}
    sent = {"zone": "DE", "provider": "mine", "basis": "average lifecycle", "values": [day_long]}
    assert api.post(f"/api/runs/{run_id}/recompute", json=sent).get_json()["changed"]
    assert [run.run_id for run in db.carbon.list_unsettled()] == [run_id]
    raw.delete(f"carbon:fetching:carbon-settle:{run_id}")
    run = settled(db, program, run_id)
    assert run.energy_kwh is not None
    assert run.co2_g == pytest.approx(50 * run.energy_kwh, rel=1e-5)
    assert run.recomputations == 1


def log_of(db: RedisDB, run_id: str) -> str:
    return "\n".join(line.text for line in db.log.list(run_id))


def test_what_a_provider_revised_is_taken_by_a_recomputation_without_a_body_and_the_outcome_follows(
    db: RedisDB, program: Program, api: FlaskClient, raw: redis.Redis, tmp_path: Path
) -> None:
    run_id = submit(db, program)
    db.controls.run_now(run_id)
    program.rounds.refresh(["DE"], db.now())
    train(db, program, claim(db), tmp_path)
    before = settled(db, program, run_id)
    reply = api.post(f"/api/runs/{run_id}/recompute", json={}).get_json()
    assert (reply["changed"], reply["source"]["provider"]) == (False, "cached")

    now = db.now()
    known = db.intensities.find("DE", "cached", now.replace(minute=0, second=0, microsecond=0), now)
    assert known is not None
    db.intensities.put(known.model_copy(update={"g_per_kwh": (300.0,)}))
    reply = api.post(f"/api/runs/{run_id}/recompute", json={}).get_json()
    raw.delete(f"carbon:fetching:carbon-settle:{run_id}")
    run = settled(db, program, run_id)

    assert before.energy_kwh is not None
    assert reply["co2_g"] == pytest.approx(300 * before.energy_kwh, rel=1e-5)
    assert run.carbon_outcome is not None
    assert run.carbon_outcome.co2_g == pytest.approx(reply["co2_g"], rel=1e-5)


def test_a_run_of_a_provider_of_whom_nothing_is_kept_stays_as_it_is(db: RedisDB, api: FlaskClient) -> None:
    lease = claim_of(db, {"intensity_zone": "DE", "intensity_provider": "electricitymaps"})
    reply = api.post(f"/api/runs/{lease.run_id}/recompute", json={})
    assert reply.status_code == 409
    assert "Send zone, provider, basis and values" in reply.get_json()["error"]["message"]
    assert db.runs.get(lease.run_id).co2_g == 200


def claim_of(db: RedisDB, facts: dict[str, Any]) -> Lease:
    """A run of one epoch that has ended."""
    lease = running(db)
    db.runs.describe(lease, facts)
    db.runs.record_epoch(lease, hour(1, 1))
    db.queue.finish(lease, Status.DONE)
    return lease
