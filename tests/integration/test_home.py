"""GET /api/home: what runs, what has ended since, this week's grams, and what needs a person."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from api.home import week_of
from backend import create_app
from redis_db import RedisDB
from schema import Alert, Cost, RunError, RunOptions, Status, Worker
from settings import Settings
from store.fitness import warnings_about
from tests.acted_run import HYPER_PARAMS
from tests.records import TORCH_WORKER, claim, epoch

HOUR = timedelta(hours=1)


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


def get(api: FlaskClient, **query: str) -> Any:
    reply = api.get("/api/home", query_string=query)
    assert reply.status_code == 200, reply.text
    return reply.get_json()


def end(db: RedisDB, run_id: str, status: Any = Status.DONE, **changes: Any) -> None:
    db.queue.submit({**HYPER_PARAMS, **changes}, RunOptions(queue=run_id), run_id=run_id)
    lease = claim(db, queue=run_id)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.01, co2_g=4.0, ended_at=db.now()))
    error = RunError(kind="TrainingFailed", message="out of memory") if status is Status.FAILED else None
    db.queue.finish(lease, status, error=error)


def wind(raw: redis.Redis, run_id: str, by: timedelta) -> None:
    """Let a run have ended earlier."""
    key = f"run:{run_id}"
    raw.hset(key, "ended_at", str(float(str(raw.hget(key, "ended_at"))) - by.total_seconds()))


def kinds(found: Any) -> list[str]:
    return [notice["kind"] for notice in found["notices"] if notice["kind"] != "store"]


def test_a_fresh_installation_has_nothing_to_show(api: FlaskClient) -> None:
    found = get(api)
    assert sum(found["counts"].values()) == 0
    assert (found["running"], found["ended"], found["datasets"], kinds(found)) == ([], [], [], [])
    assert found["week"]["co2_g"] == found["week"]["last_co2_g"] == 0


def test_what_runs_says_how_long_it_will_take(api: FlaskClient, db: RedisDB) -> None:
    db.queue.submit({**HYPER_PARAMS, "num_epochs": 10}, run_id="r1")
    lease = claim(db)
    for number in (1, 2, 3):
        db.runs.record_epoch(lease, epoch(number, duration_s=2.0 * number))
    found = get(api)
    assert [run["iid"] for run in found["running"]] == ["r1"]
    assert found["remaining_s"] == {"r1": 7 * 4.0}


def test_what_ended_since_is_told_newest_first(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    for run_id, status in (("a", Status.DONE), ("b", Status.FAILED), ("c", Status.DONE)):
        end(db, run_id, status)
    wind(raw, "c", 30 * HOUR)
    wind(raw, "b", 2 * HOUR)
    found = get(api)
    assert [run["iid"] for run in found["ended"]] == ["a", "b"]
    assert found["ended_counts"] == {"done": 1, "failed": 1, "cancelled": 0}
    since = f"{db.now() - HOUR:%Y-%m-%dT%H:%M:%SZ}"
    assert [run["iid"] for run in get(api, since=since)["ended"]] == ["a"]


def test_a_script_without_an_accuracy_has_ended_too(api: FlaskClient) -> None:
    iid = api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]
    api.post(f"/api/experiments/{iid}/status", json={"status": "done"})
    found = get(api)
    assert [run["iid"] for run in found["ended"]] == [iid]
    assert found["ended_counts"]["done"] == 1


def test_more_runs_than_are_shown_are_counted(api: FlaskClient, db: RedisDB) -> None:
    for number in range(12):
        end(db, f"r{number}")
    found = get(api)
    assert (len(found["ended"]), found["ended_counts"]["done"]) == (8, 12)
    assert found["ended"][0]["iid"] == "r11"
    assert found["datasets"] == [{"value": "digits", "runs": 12}]


def test_the_grams_of_this_week_are_those_of_the_totals(api: FlaskClient, db: RedisDB) -> None:
    end(db, "a")
    end(db, "b", Status.FAILED)
    assert get(api)["week"]["co2_g"] == 8.0
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        week = get(api, timezone=zone)["week"]
        assert sum(grams or 0 for grams in week["days"]) == 8.0


def test_a_week_begins_on_monday_and_is_compared_with_the_same_days_of_the_last() -> None:
    grams = {f"{date(2026, 3, 2) + timedelta(days=day)}": float(2**day) for day in range(14)}

    def list_days(last: date, days: int) -> dict[str, tuple[Cost, Cost]]:
        names = [f"{last - timedelta(days=back)}" for back in range(days)]
        return {name: (Cost(co2_g=grams.get(name)), Cost()) for name in names}

    wednesday = date(2026, 3, 11)
    week = week_of(wednesday, wednesday, list_days)
    assert week.monday == date(2026, 3, 9)
    assert week.co2_g == 2**7 + 2**8 + 2**9
    assert (week.last_co2_g, week.last_co2_g_by_then) == (127, 1 + 2 + 4)
    assert week.days[10:] == (None,) * 4
    sunday_there_monday_in_utc = week_of(date(2026, 3, 8), date(2026, 3, 9), list_days)
    assert sunday_there_monday_in_utc.co2_g == 127


def test_what_needs_a_person_is_told(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    end(db, "f", Status.FAILED)
    db.queue.submit(HYPER_PARAMS, RunOptions(queue="gpu"), run_id="w")
    db.workers.beat(TORCH_WORKER, ttl_s=600)
    dead: Worker = TORCH_WORKER.model_copy(update={"worker_id": "d-1", "name": "dead", "run_id": "x" * 32})
    db.workers.beat(dead, ttl_s=600)
    raw.zadd("workers", {"d-1": db.now().timestamp() - 60})
    again = dead.model_copy(update={"worker_id": "w-0", "name": TORCH_WORKER.name})
    db.workers.beat(again, ttl_s=600)
    raw.zadd("workers", {"w-0": db.now().timestamp() - 60})
    alert = Alert(
        alert_id="1",
        rule_id="r",
        rule_name="disk",
        kind="disk",
        time=db.now(),
        title="Disk is full",
        text="t",
    )
    raw.xadd("alerts:raised", {"alert": alert.model_dump_json()})
    found = get(api)
    assert kinds(found) == ["stuck", "failed", "worker", "alert"]
    texts = {notice["kind"]: notice["text"] for notice in found["notices"]}
    assert "One run waits: no live worker takes runs of the queue gpu" in texts["stuck"]
    assert "A run has failed in the last 7 days. TrainingFailed: out of memory" in texts["failed"]
    assert "The worker dead" in texts["worker"]
    assert texts["alert"] == "Disk is full"


def test_that_a_run_is_done_needs_nobody(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    done = Alert(
        alert_id="1",
        rule_id="r",
        rule_name="done",
        kind="run_finished",
        time=db.now(),
        title="Run done",
        text="t",
    )
    raw.xadd("alerts:raised", {"alert": done.model_dump_json()})
    assert kinds(get(api)) == []


def test_a_failure_before_the_last_visit_still_needs_a_person(api: FlaskClient, db: RedisDB) -> None:
    end(db, "f", Status.FAILED)
    found = get(api, since=db.now().isoformat())
    assert (kinds(found), found["ended"], found["ended_counts"]["failed"]) == (["failed"], [], 0)


def test_a_failure_of_long_ago_needs_nobody(api: FlaskClient, db: RedisDB, raw: redis.Redis) -> None:
    end(db, "f", Status.FAILED)
    wind(raw, "f", 8 * 24 * HOUR)
    assert kinds(get(api)) == []


def test_a_redis_that_is_nearly_full_is_told() -> None:
    info = {"maxmemory": 2**30, "used_memory": int(0.9 * 2**30), "maxmemory_policy": "noeviction"}
    (warning,) = warnings_about(info)
    assert "more than 80% of its maxmemory of 1,024 MiB" in warning
    assert warnings_about({**info, "used_memory": 2**20}) == []
    assert warnings_about({**info, "maxmemory": 0}) == []


@pytest.mark.parametrize("name", ["Nowhere/Land", "../etc/passwd", "America", "\u0000", "x" * 65, "", "/"])
def test_what_is_no_time_zone_is_refused(name: str, api: FlaskClient) -> None:
    assert api.get("/api/home", query_string={"timezone": name}).status_code == 422


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01"])
def test_what_is_no_moment_is_refused(since: str, api: FlaskClient) -> None:
    assert api.get("/api/home", query_string={"since": since}).status_code == 422


def test_a_visit_of_long_ago_counts_as_three_months(api: FlaskClient) -> None:
    since = datetime.fromisoformat(get(api, since="1999-01-01T00:00:00Z")["since"])
    assert datetime.now(UTC) - since < timedelta(days=93)
