"""What a recomputation keeps to: the run's own zone, credible figures, the day of a cost, all or nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from flask.testing import FlaskClient

from carbon_aware_trainer.providers import country_intensity
from redis_db import RedisDB
from schema import Status
from tests.integration import test_totals
from tests.integration.test_totals import NOON, ZONE, day, finished, hour, recompute, values
from tests.records import extra, running

api = test_totals.api


def finished_in(db: RedisDB, zone: str) -> str:
    """A run of 4 kWh and 400 g that is done in that zone."""
    lease = running(db)
    db.runs.describe(lease, {"intensity_zone": zone, "intensity_provider": "static"})
    for number in (1, 2):
        db.runs.record_epoch(lease, hour(number, number))
    db.queue.finish(lease, Status.DONE)
    return lease.run_id


def test_without_a_body_the_present_figure_of_the_run_s_own_zone_is_taken(
    db: RedisDB, api: FlaskClient
) -> None:
    reply = recompute(api, finished_in(db, "FRA"), {})
    assert reply["source"]["zone"] == "FRA"
    assert reply["co2_g"] == pytest.approx(4 * country_intensity("FRA").g_per_kwh, rel=1e-5)


@pytest.mark.parametrize("zone", ["DE-LU", ""])
def test_a_run_of_a_zone_without_a_yearly_figure_stays_where_it_is(
    db: RedisDB, api: FlaskClient, zone: str
) -> None:
    run_id = finished_in(db, zone)
    reply = api.post(f"/api/runs/{run_id}/recompute", json={})
    assert reply.status_code == 409
    assert "Send zone, provider, basis and values" in reply.get_json()["error"]["message"]
    assert db.runs.get(run_id).co2_g == 400


@pytest.mark.parametrize("g_per_kwh", [100_001, 1e300, 1e308])
def test_an_intensity_that_no_electricity_has_is_refused(
    db: RedisDB, api: FlaskClient, g_per_kwh: float
) -> None:
    run_id = finished(db).run_id
    reply = api.post(f"/api/runs/{run_id}/recompute", json=values((0, 2, g_per_kwh)))
    assert reply.status_code == 422
    assert db.runs.get(run_id).co2_g == 400
    assert day(db).co2_g == 400


def test_what_was_used_in_the_last_moment_of_a_day_is_corrected_on_the_day_it_counts_on(
    db: RedisDB, api: FlaskClient
) -> None:
    midnight = NOON + timedelta(hours=12)
    lease = running(db)
    trial = extra(
        ended_at=midnight - timedelta(seconds=0.3),
        span_s=3600,
        energy_kwh=1.0,
        co2_g=100,
        intensity_g_per_kwh=100,
    )
    db.runs.record_extra(lease, trial)
    db.queue.finish(lease, Status.DONE)
    recompute(api, lease.run_id, values((0, 13, 700)))
    before, after = (cost for cost, _ in db.accounts.list_days(midnight.date(), 2).values())
    assert (before.extras, before.co2_g) == (0, 0)
    assert (after.extras, after.co2_g) == (1, 700)


def test_a_recomputation_that_lacks_an_attempt_writes_nothing(
    db: RedisDB, api: FlaskClient, raw: redis.Redis
) -> None:
    run_id = finished(db).run_id
    raw.hdel(f"run:{run_id}:attempts", "1")
    before = {key: raw.dump(key) for key in raw.keys("*")}
    reply = api.post(f"/api/runs/{run_id}/recompute", json=values((0, 2, 300)))
    assert reply.status_code == 409
    assert "attempt 1" in reply.get_json()["error"]["message"].lower()
    assert {key: raw.dump(key) for key in raw.keys("*")} == before


def test_the_number_of_unknown_ones_counts_what_was_used_besides_the_epochs(
    db: RedisDB, api: FlaskClient
) -> None:
    lease = running(db)
    db.runs.record_extra(lease, extra(span_s=3600, energy_kwh=1.0, co2_g=100, intensity_g_per_kwh=100))
    db.runs.record_epoch(lease, hour(1, 1))
    db.queue.finish(lease, Status.DONE)
    for _ in range(2):  # the second changes nothing
        assert recompute(api, lease.run_id, values((0, 2, 300)))["unknown_co2_epochs"] == 1
    assert ZONE["zone"] == api.get(f"/api/runs/{lease.run_id}/account").get_json()["co2_source"]["zone"]
