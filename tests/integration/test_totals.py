"""Totals by day and by project, and CO₂ that is computed again: exact, whatever happens in between."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backend import create_app
from carbon_aware_trainer.records import IntensitySeries, Interval
from errors import Conflict, LeaseLost
from redis_db import RedisDB
from scheduling.parts import Used
from scheduling.recomputing import recompute as compute
from schema import Cost, EpochResult, Lease, Run, RunOptions, SortField, Status
from settings import Settings
from tests.records import WORKER, claim, epoch, extra, running

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONE = {"zone": "DE", "provider": "grid", "basis": "average lifecycle"}


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def values(*figures: tuple[float, float, float]) -> dict[str, Any]:
    """A body: from and until, in hours after noon, and g/kWh."""
    return ZONE | {
        "values": [
            {
                "start": f"{NOON + timedelta(hours=start):%Y-%m-%dT%H:%M:%SZ}",
                "end": f"{NOON + timedelta(hours=end):%Y-%m-%dT%H:%M:%SZ}",
                "g_per_kwh": g_per_kwh,
            }
            for start, end, g_per_kwh in figures
        ]
    }


def hour(number: int, hours: float, **changes: Any) -> Any:
    """An epoch of one hour and 2 kWh that ended so many hours after noon, at first with 100 g/kWh."""
    known = {"energy_kwh": 2.0, "co2_g": 200.0, "intensity_g_per_kwh": 100.0, "duration_s": 3600.0}
    return epoch(number, ended_at=NOON + timedelta(hours=hours), **{**known, **changes})


def finished(db: RedisDB) -> Lease:
    """A run of two hours that is done: 4 kWh and 400 g."""
    lease = running(db)
    for number in (1, 2):
        db.runs.record_epoch(lease, hour(number, number))
    db.queue.finish(lease, Status.DONE)
    return lease


def recompute(api: FlaskClient, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = api.post(f"/api/runs/{run_id}/recompute", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.get_json()
    return found


def day(db: RedisDB) -> Cost:
    return db.accounts.list_days(NOON.date(), 1)["2026-03-01"][0]


def test_a_revised_intensity_replaces_every_figure_and_keeps_the_old_one(
    db: RedisDB, api: FlaskClient, raw: redis.Redis
) -> None:
    run_id = finished(db).run_id
    assert recompute(api, run_id, values((0, 1.5, 300), (1.5, 2, 500)))["co2_g"] == 600 + 800
    run = db.runs.get(run_id)
    assert run.co2_g == 1400
    assert [result.co2_g for result in db.runs.list_epochs(run_id)] == [600, 800]
    assert [result.intensity_g_per_kwh for result in db.runs.list_epochs(run_id)] == [300, 400]
    assert [attempt.co2_g for attempt in db.runs.list_attempts(run_id)] == [1400]
    assert raw.zscore("runs:by:co2_g:done", run_id) == 1400
    assert run.co2_source is not None
    assert (run.co2_source.provider, run.co2_source.zone) == ("grid", "DE")
    (replaced,) = run.co2_revisions
    assert (replaced.co2_g, replaced.source.provider) == (400, "static")
    assert (day(db).co2_g, day(db).energy_kwh) == (1400, 4)


def test_the_same_recomputation_again_changes_nothing(
    db: RedisDB, api: FlaskClient, raw: redis.Redis
) -> None:
    run_id = finished(db).run_id
    body = values((0, 2, 300))
    assert recompute(api, run_id, body)["changed"]
    before = {key: raw.dump(key) for key in raw.keys("*") if key != "events"}
    again = recompute(api, run_id, body)
    assert (again["changed"], again["replaced"], again["co2_g"]) == (False, None, 1200)
    assert {key: raw.dump(key) for key in raw.keys("*") if key != "events"} == before


def test_an_hour_without_intensity_makes_the_sum_unknown_and_says_which(
    db: RedisDB, api: FlaskClient, raw: redis.Redis
) -> None:
    run_id = finished(db).run_id
    reply = recompute(api, run_id, values((0, 1, 300), (1.5, 2, 300)))
    assert (reply["co2_g"], reply["unknown_co2_epochs"]) == (None, 1)
    first, second = db.runs.list_epochs(run_id)
    assert (first.co2_g, second.co2_g) == (600, None)
    assert second.co2_reason == (
        "grid has no intensity of DE from 2026-03-01 13:00:00 to 2026-03-01 13:30:00 UTC."
    )
    assert raw.zscore("runs:by:co2_g:done", run_id) == float("-inf")
    assert (day(db).co2_g, day(db).unknown_co2_epochs) == (600, 1)
    recompute(api, run_id, values((0, 2, 100)))
    assert (db.runs.get(run_id).co2_g, day(db).unknown_co2_epochs) == (400, 0)
    assert db.runs.list_epochs(run_id)[1].co2_reason is None


def test_a_run_without_epochs_is_listed_once_after_a_recomputation(db: RedisDB, api: FlaskClient) -> None:
    lease = running(db)
    db.queue.finish(lease, Status.DONE)
    recompute(api, lease.run_id, values((0, 2, 300)))
    listed = db.runs.list(SortField.CO2_G, limit=5)
    assert ([run.run_id for run in listed.runs], listed.total) == ([lease.run_id], 1)


def test_a_run_at_work_is_not_recomputed(db: RedisDB, api: FlaskClient) -> None:
    lease = running(db)
    db.runs.describe(lease, {"intensity_zone": "DE", "intensity_provider": "grid"})
    db.runs.record_epoch(lease, hour(1, 1))
    for g_per_kwh in (300, 100):  # the second is what it has already
        reply = api.post(f"/api/runs/{lease.run_id}/recompute", json=values((0, 2, g_per_kwh)))
        assert reply.status_code == 409
    assert db.runs.get(lease.run_id).co2_g == 200


def test_what_was_used_besides_the_epochs_is_recomputed_and_in_the_totals(
    db: RedisDB, api: FlaskClient
) -> None:
    lease = running(db)
    trial = extra(span_s=3600, duration_s=3600, energy_kwh=1.0, co2_g=100, intensity_g_per_kwh=100)
    for _ in range(2):  # the reply to the first was lost
        db.runs.record_extra(lease, trial)
    db.runs.record_epoch(lease, hour(1, 1))
    db.queue.finish(lease, Status.DONE)
    assert (day(db).energy_kwh, day(db).co2_g, day(db).duration_s, day(db).epochs) == (3, 300, 7200, 1)
    assert recompute(api, lease.run_id, values((-1, 0, 700), (0, 2, 300)))["co2_g"] == 700 + 600
    (stored,) = db.accounts.list_extras(lease.run_id)
    assert (stored.co2_g, stored.intensity_g_per_kwh) == (700, 700)
    assert day(db).co2_g == 1300
    recompute(api, lease.run_id, values((0, 2, 300)))
    assert db.runs.get(lease.run_id).co2_g is None
    assert (day(db).co2_g, day(db).unknown_co2_epochs) == (600, 1)


def test_the_store_itself_takes_no_new_figures_of_a_run_at_work(db: RedisDB, api: FlaskClient) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, hour(1, 1))
    run = db.runs.get(lease.run_id)
    figures = IntensitySeries("DE", "grid", "average lifecycle", (Interval(NOON, NOON + timedelta(1), 300),))
    recorded = Used(run, db.runs.list_attempts(run.run_id), db.runs.list_epochs(run.run_id), (), ())
    new = compute(recorded, figures, NOON)
    assert new is not None
    with pytest.raises(Conflict, match="only once it has ended"):
        db.accounts.apply(new, run)
    assert db.runs.get(run.run_id).co2_g == 200


def test_a_recomputation_of_what_has_changed_since_is_refused(
    db: RedisDB, api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = finished(db).run_id
    stale = db.runs.get(run_id)
    recompute(api, run_id, values((0, 2, 300)))
    monkeypatch.setattr(db.runs, "get", lambda _: stale)
    reply = api.post(f"/api/runs/{run_id}/recompute", json=values((0, 2, 500)))
    assert reply.status_code == 409
    monkeypatch.undo()
    assert db.runs.get(run_id).co2_g == 1200


def test_marginal_figures_never_replace_average_ones(db: RedisDB, api: FlaskClient) -> None:
    run_id = finished(db).run_id
    body = values((0, 2, 300)) | {"basis": "marginal direct"}
    reply = api.post(f"/api/runs/{run_id}/recompute", json=body)
    assert reply.status_code == 409
    assert "basis" in reply.get_json()["error"]["message"]
    assert db.runs.get(run_id).co2_g == 400


@pytest.mark.parametrize(
    "body",
    [
        {"zone": "DE"},
        values((0, 1, 300), (0.5, 2, 300)),
        values((1, 1, 300)),
        values((0, 1, -1)),
        values((0, 1, 300)) | {"basis": "average"},
    ],
)
def test_intensities_that_say_nothing_are_refused(
    db: RedisDB, api: FlaskClient, body: dict[str, Any]
) -> None:
    run_id = finished(db).run_id
    reply = api.post(f"/api/runs/{run_id}/recompute", json=body)
    assert reply.status_code == 422, reply.text
    assert db.runs.get(run_id).co2_g == 400


def test_what_a_second_attempt_trained_again_is_recomputed_too(db: RedisDB, api: FlaskClient) -> None:
    first = running(db)
    for number in (1, 2, 3):
        db.runs.record_epoch(first, hour(number, number))
    db.queue.release(first, reason="stop")
    second = claim(db, queue=WORKER)
    for number in (2, 3):
        db.runs.record_epoch(second, hour(number, number + 3))
    db.queue.finish(second, Status.DONE)
    assert [result.epoch for result in db.accounts.list_superseded(first.run_id)] == [2, 3]
    assert (day(db).epochs, day(db).co2_g) == (5, 1000)
    recompute(api, first.run_id, values((0, 6, 300)))
    assert db.runs.get(first.run_id).co2_g == 3000
    assert [attempt.co2_g for attempt in db.runs.list_attempts(first.run_id)] == [1800, 1200]
    assert day(db).co2_g == 3000


def test_an_epoch_that_is_delivered_twice_counts_once(db: RedisDB) -> None:
    lease = running(db)
    for _ in range(3):
        db.runs.record_epoch(lease, hour(1, 1))
    assert (day(db).epochs, day(db).energy_kwh, day(db).co2_g) == (1, 2, 200)
    assert db.accounts.list_projects()["default"][0].energy_kwh == 2
    assert db.accounts.list_superseded(lease.run_id) == []


def test_simulated_runs_stand_apart(db: RedisDB, api: FlaskClient) -> None:
    lease = running(db, is_simulated=True)
    db.runs.record_epoch(lease, hour(1, 1))
    real, simulated = db.accounts.list_projects()["default"]
    assert (real.epochs, simulated.epochs, simulated.energy_kwh) == (0, 1, 2)
    (total,) = api.get("/api/totals?by=project").get_json()["totals"]
    assert total["real"]["epochs"] == 0
    assert total["simulated"]["co2_g"] == 200


def test_totals_are_answered_by_day_with_their_equivalents(db: RedisDB, api: FlaskClient) -> None:
    lease = running(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=1.0, co2_g=248.0))
    db.runs.record_epoch(lease, epoch(2))
    listed = api.get("/api/totals?days=2").get_json()["totals"]
    assert [total["real"]["epochs"] for total in listed] == [0, 2]
    today = listed[-1]
    assert (today["real"]["energy_kwh"], today["real"]["unknown_energy_epochs"]) == (1.0, 1)
    assert today["name"] == f"{db.now():%Y-%m-%d}"
    assert {found["unit"]: round(found["amount"], 2) for found in today["equivalents"]} == {
        "km": 1.02,
        "charges": 20.0,
    }
    assert all("EPA" in found["source"] for found in today["equivalents"])


def test_a_day_of_which_no_energy_is_known_has_no_energy(db: RedisDB, api: FlaskClient) -> None:
    db.runs.record_epoch(running(db), epoch(1))
    today = api.get("/api/totals?days=1").get_json()["totals"][0]
    assert (today["real"]["energy_kwh"], today["real"]["co2_g"], today["equivalents"]) == (None, None, [])


def test_an_absurd_epoch_does_not_keep_others_from_being_recorded(db: RedisDB) -> None:
    for worker_id in ("w1", "w2"):
        db.runs.record_epoch(running(db, worker_id=worker_id), epoch(1, duration_s=1.5e308))
    (total,) = (real for real, _ in db.accounts.list_projects().values())
    assert (total.epochs, total.duration_s) == (2, 1.7976931348623157e308)


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(("claim", "epoch", "epoch", "epoch", "again", "release", "finish", "recompute")),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=40,
)


class Play:
    """Three runs in two projects and two days, one of them simulated, and workers that lose their leases."""

    def __init__(self, db: RedisDB, api: FlaskClient) -> None:
        self.db = db
        self.api = api
        self.leases: dict[int, list[Lease]] = {which: [] for which in range(3)}
        for which in range(3):
            label = {"simulated": True} if which == 2 else {}
            options = RunOptions(queue=f"q{which}", project=f"p{which % 2}")
            db.queue.submit({"num_epochs": 4, **label}, options, run_id=f"r{which}")

    def do(self, step: Step) -> None:
        name, which, variant = step
        leases = self.leases[which]
        if name == "claim":
            if lease := self.db.queue.claim([f"q{which}"], worker_id=f"w{which}", lease_s=60):
                leases.append(lease)
        elif name == "recompute":
            figure = values((-24, 48, 100 + variant)) if variant else values((-24, 3, 100))
            self.api.post(f"/api/runs/r{which}/recompute", json=figure)
        elif leases:
            with suppress(LeaseLost):
                self.write(name, leases[-1 - variant % len(leases)], variant)

    def write(self, name: str, lease: Lease, variant: int) -> None:
        known = {"energy_kwh": None, "co2_g": None} if variant == 3 else {"energy_kwh": 0.1 * lease.attempt}
        result = hour(1 + variant, 6 * variant, **known)
        if name == "release":
            self.db.queue.release(lease, reason="stop")
        elif name == "finish":
            self.db.queue.finish(lease, Status.DONE)
        else:
            for _ in range(1 + (name == "again")):
                self.db.runs.record_epoch(lease, result)


@hypothesis_settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_totals_are_the_sums_over_all_attempts(
    db: RedisDB, raw: redis.Redis, api: FlaskClient, steps: list[Step]
) -> None:
    raw.flushdb()
    play = Play(db, api)
    for step in steps:
        play.do(step)
    check_totals(db, raw)


def check_totals(db: RedisDB, raw: redis.Redis) -> None:
    expected: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for run in db.runs.list().runs:
        half = "simulated_" if run.simulated else ""
        used = list_used(db, run.run_id)
        check_sums(db, raw, run, used)
        for result in used:
            assert result.ended_at is not None
            for name in (f"day:{result.ended_at:%Y-%m-%d}", f"project:{run.options.project}"):
                total = expected[f"totals:{name}"]
                total[f"{half}epochs"] += 1
                total[f"{half}duration_s"] += result.duration_s
                total[f"{half}energy_kwh"] += result.energy_kwh or 0
                total[f"{half}co2_g"] += result.co2_g or 0
                total[f"{half}unknown_energy_epochs"] += result.energy_kwh is None
                total[f"{half}unknown_co2_epochs"] += result.co2_g is None
    found = {key: raw.hgetall(key) for key in raw.keys("totals:*") if raw.type(key) == "hash"}
    ever = found.pop("totals:all", {})
    for field in set(ever) - {"co2_g", "unknown_co2_epochs"}:  # no counter takes part in corrections
        parts = [float(found[key].get(field, 0)) for key in found if "project" in str(key)]
        assert float(ever[field]) == pytest.approx(sum(parts)), field
    assert found.keys() == expected.keys()
    for key, total in expected.items():
        stored = {field: float(text) for field, text in found[key].items()}
        known_fields = {field: value for field, value in total.items() if value or field in stored}
        assert stored == pytest.approx(known_fields, abs=1e-9)


def list_used(db: RedisDB, run_id: str) -> list[EpochResult]:
    """Every epoch that any attempt recorded, each once."""
    kept, dropped = db.runs.list_epochs(run_id), db.accounts.list_superseded(run_id)
    places = [(result.attempt, result.epoch) for result in (*kept, *dropped)]
    assert len(places) == len(set(places))
    return [*kept, *dropped]


def check_sums(db: RedisDB, raw: redis.Redis, run: Run, used: list[EpochResult]) -> None:
    """A run and its attempts are the sums of their epochs."""
    attempts = db.runs.list_attempts(run.run_id)
    for attempt in attempts:
        own = [result for result in used if result.attempt == attempt.attempt]
        energies = [result.energy_kwh for result in own if result.energy_kwh is not None]
        grams = [result.co2_g for result in own if result.co2_g is not None]
        assert attempt.duration_s == pytest.approx(sum(result.duration_s for result in own))
        assert attempt.unknown_energy_epochs == len(own) - len(energies)
        if own and len(energies) == len(own):
            assert attempt.energy_kwh == pytest.approx(sum(energies))
        if own:
            assert attempt.co2_g == (pytest.approx(sum(grams)) if len(grams) == len(own) else None)
    known = [attempt.co2_g for attempt in attempts if attempt.duration_s]
    if known:
        assert run.co2_g == (None if None in known else pytest.approx(sum(gram or 0 for gram in known)))
        index = f"runs:{'simulated:' if run.simulated else ''}by:{SortField.CO2_G}:{run.status}"
        assert raw.zscore(index, run.run_id) == (float("-inf") if run.co2_g is None else run.co2_g)
