"""Archived runs over HTTP: read like any other, marked, refused to writers, and restored."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from api.state import state_of
from archive.moving import Moving
from archive.rounds import ArchiveRounds
from backend import create_app
from errors import Conflict
from redis_db import RedisDB
from settings import Settings
from tests.integration import test_figures
from tests.integration.test_archive import DONE, ENDED, FAILED, MINE, later
from tests.programs import wait_until
from tests.stored_commands import load

scrape = test_figures.scrape
READ = (
    "/api/runs",
    "/api/runs?limit=3&sort=best_accuracy",
    "/api/runs?fields=in_update,sparkline",
    "/api/runs?q=tag:night",
    "/api/search?q=resnet9",
    "/api/leaderboard",
    f"/api/runs/{DONE}",
    f"/api/runs/{DONE}/epochs",
    f"/api/runs/{DONE}/log",
    f"/api/runs/{DONE}/account",
    f"/api/runs/{DONE}/power",
    f"/api/runs/{DONE}/report?format=md",
    f"/api/experiments/{DONE}/notes",
    f"/api/metrics/{DONE}?name=test_accuracy",
    f"/api/logs/{MINE}?contains=HELL",
    f"/api/metrics/{MINE}",
    f"/api/metrics/{MINE}?name=loss,test_accuracy",
    f"/api/artifacts/{MINE}",
    f"/api/histograms/{MINE}",
    f"/api/models/{MINE}",
)


@pytest.fixture
def api(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Iterator[FlaskClient]:
    load(raw, "layout-1.jsonl")
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), db)
    yield app.test_client()
    state_of(app).archive.close()


def archive_all(api: FlaskClient) -> None:
    state = state_of(api.application)
    moving = Moving(state.db, state.archive, state.settings, later)
    assert moving.move_all(older_than_s=1.0).moved == len(ENDED)


def unmarked(answer: Any) -> Any:
    """An answer without what says that a run is archived, and when a report was written."""
    if isinstance(answer, dict):
        return {name: unmarked(part) for name, part in answer.items() if name not in ("archived", "took_s")}
    return [unmarked(part) for part in answer] if isinstance(answer, list) else answer


def answers(api: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in READ:
        reply = api.get(path)
        assert reply.status_code == 200, (path, reply.text)
        is_report = path.endswith("format=md")
        found[path] = len(reply.text.splitlines()) if is_report else unmarked(reply.get_json())
    return found


def test_everything_reads_archived_runs_as_it_read_them_before(api: FlaskClient, raw: redis.Redis) -> None:
    before = answers(api)
    archive_all(api)
    assert not raw.exists(*(f"run:{run_id}" for run_id in ENDED))
    after = answers(api)
    # The curve in the list of a run that its script reports is in a file, which a list does not open.
    path = "/api/runs?fields=in_update,sparkline"
    for found in (before, after):
        for run in found[path]["results"]:
            if run["iid"] == MINE:
                run["sparkline"] = []
    assert after == before
    marks = {run["iid"]: run["archived"] for run in api.get("/api/runs").get_json()["results"]}
    assert {run_id for run_id, is_archived in marks.items() if is_archived} == set(ENDED)
    assert api.get(f"/api/runs/{DONE}").get_json()["archived"] is True


def test_pages_of_a_list_go_on_while_runs_are_archived(api: FlaskClient) -> None:
    everything = [run["iid"] for run in api.get("/api/runs").get_json()["results"]]
    first = api.get("/api/runs?limit=2").get_json()
    archive_all(api)
    second = api.get(f"/api/runs?limit=10&cursor={first['cursor']}").get_json()
    assert [run["iid"] for run in first["results"] + second["results"]] == everything


def test_a_change_of_an_archived_run_names_the_way_back(api: FlaskClient, raw: redis.Redis) -> None:
    archive_all(api)
    for path, body in (
        (f"/api/runs/{FAILED}/retry", {}),
        (f"/api/runs/{DONE}/star", {"starred": False}),
        (f"/api/experiments/{DONE}/notes", {"text": "late"}),
        (f"/api/experiments/{DONE}/tags", {"add": ["late"]}),
    ):
        reply = api.post(path, json=body)
        assert (reply.status_code, reply.get_json()["error"]["code"]) == (409, "conflict"), path
        run_id = path.split("/")[3]
        assert f"POST /api/runs/{run_id}/restore" in reply.get_json()["error"]["message"]
    deleted = api.delete(f"/api/runs/{DONE}?confirm={DONE}", json={})
    assert "restore" in deleted.get_json()["error"]["message"]
    restored = api.post(f"/api/runs/{FAILED}/restore", json={})
    assert (restored.status_code, restored.get_json()["archived"]) == (200, False)
    assert api.post(f"/api/runs/{FAILED}/restore", json={}).status_code == 200
    assert api.post(f"/api/runs/{FAILED}/retry", json={}).get_json()["status"] == "waiting"
    assert api.post(f"/api/runs/{'0' * 32}/restore", json={}).status_code == 404
    assert set(raw.hkeys("runs:archived")) == set(ENDED) - {FAILED}


def test_the_archive_tells_what_it_has(api: FlaskClient, db: RedisDB) -> None:
    empty = api.get("/api/archive").get_json()
    assert (empty["runs"], empty["bytes"], empty["last"]) == (0, 0, None)
    archive_all(api)
    full = api.get("/api/archive").get_json()
    assert (full["runs"], full["points"], full["after_days"]) == (4, 5, 30)
    assert full["bytes"] > 1000
    assert full["next_at"] > empty["next_at"][:10]


def test_an_archive_that_is_away_hides_its_own_runs_alone(
    db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    load(raw, "layout-1.jsonl")
    (tmp_path / "file").write_text("no folder")
    settings = Settings(_env_file=None, data_dir=tmp_path, database_url="sqlite:////proc/none/archive.db")
    app = create_app(settings, db)
    api = app.test_client()
    assert api.get(f"/api/runs/{DONE}").status_code == 200
    done = Moving(db, state_of(app).archive, settings, time.time).move_all(older_than_s=-DAY_IN_S)
    assert (done.moved, done.left) == (0, 2)  # the third ended it
    assert "WATTLE_DATABASE_URL" in (done.problem or "")
    assert api.get(f"/api/runs/{DONE}").get_json()["archived"] is False


DAY_IN_S = 86_400.0


def test_a_round_of_the_day_is_begun_by_one_process_once(
    api: FlaskClient, db: RedisDB, raw: redis.Redis
) -> None:
    state = state_of(api.application)
    now = [4e9]
    both = [ArchiveRounds(db, state.archive, state.settings, clock=lambda: now[0]) for _ in range(2)]
    for rounds in both:
        rounds.begin()
        assert not rounds.is_busy  # since this is looked at, it was not 03:00 yet
    now[0] += DAY_IN_S
    for rounds in both:
        rounds.begin()
        wait_until(lambda rounds=rounds: not rounds.is_busy)  # type: ignore[misc]
    assert state.db.archiving.count() == len(ENDED)
    last = state.db.archiving.read_facts()["last"]
    now[0] += 120
    for rounds in both:
        rounds.begin()
        assert not rounds.is_busy
    assert state.db.archiving.read_facts()["last"] == last


def test_runs_are_archived_at_once_when_somebody_asks_for_it(api: FlaskClient, db: RedisDB) -> None:
    begun = api.post("/api/archive", json={"older_than_days": 36_500})
    assert (begun.status_code, begun.get_json()["runs"]) == (202, 0)
    wait_until(lambda: api.get("/api/archive").get_json()["under_way"] is None)
    assert api.get("/api/archive").get_json()["last"]["moved"] == 0

    begun = api.post("/api/archive", json={"older_than_days": 0.0001})
    assert begun.status_code == 202
    wait_until(lambda: api.get("/api/archive").get_json()["under_way"] is None)
    told = api.get("/api/archive").get_json()
    assert (told["runs"], told["last"]["moved"], told["last"]["problem"]) == (len(ENDED), len(ENDED), None)
    for wrong in (
        '{"older_than_days": -1}',
        '{"older_than_days": "much"}',
        '{"older_than_days": true}',
        '{"days": 1}',
        "[]",
    ):
        assert api.post("/api/archive", json=json.loads(wrong)).status_code == 422, wrong


def test_only_one_round_goes_on_at_once_and_tells_how_far_it_is(
    api: FlaskClient, db: RedisDB, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(api.application)
    read, may_go_on = db.archiving.read, threading.Event()

    def read_slowly(run_id: str) -> Any:
        assert may_go_on.wait(60)
        return read(run_id)

    monkeypatch.setattr(db.archiving, "read", read_slowly)
    assert api.post("/api/archive", json={"older_than_days": 0.01}).get_json()["under_way"]["moved"] == 0
    raw.pexpire("lock:archive", 1000)
    state.archive_rounds.begin()  # as every second
    assert raw.pttl("lock:archive") > 10_000
    refused = api.post("/api/archive", json={})
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (409, "conflict")
    other = ArchiveRounds(db, state.archive, state.settings)
    with pytest.raises(Conflict, match="GET /api/archive"):
        other.begin_now()
    may_go_on.set()
    wait_until(lambda: not state.archive_rounds.is_busy)
    assert api.get("/api/archive").get_json()["under_way"] is None
    state.archive_rounds.begin()
    wait_until(lambda: not raw.exists("lock:archive"))
    other.begin_now(older_than_s=0)
    wait_until(lambda: not other.is_busy)


def test_after_a_problem_nobody_tries_again_for_an_hour_unless_asked(
    db: RedisDB, raw: redis.Redis, tmp_path: Path
) -> None:
    load(raw, "layout-1.jsonl")
    away = Settings(_env_file=None, data_dir=tmp_path, database_url="sqlite:////proc/none/archive.db")
    app = create_app(away, db)
    now = [4e9]
    rounds = ArchiveRounds(db, state_of(app).archive, away, clock=lambda: now[0])
    rounds.begin()
    now[0] += DAY_IN_S

    def tries() -> bool:
        before = db.archiving.read_facts().get("ended_at")
        rounds.begin()
        wait_until(lambda: not rounds.is_busy)
        return db.archiving.read_facts().get("ended_at") != before

    assert tries()
    now[0] += 1800
    assert not tries()
    rounds.begin_now()
    wait_until(lambda: not rounds.is_busy)
    now[0] += 3000
    assert not tries()
    now[0] += 700
    assert tries()


def test_prometheus_hears_how_the_rounds_go(api: FlaskClient, db: RedisDB, tmp_path: Path) -> None:
    def told() -> dict[str, float]:
        return {name: value for name, value in scrape(api).items() if name.startswith("wattle_archive")}

    results = {f"wattle_archive_rounds_total{{result={result}}}": 0.0 for result in ("ok", "failed")}
    assert told() == {"wattle_archive_runs": 0, **results}
    rounds = state_of(api.application).archive_rounds
    rounds.begin()  # looks for the first time
    assert 0 <= told()["wattle_archive_good_round_age_seconds"] < 60
    rounds.begin_now(older_than_s=0)
    wait_until(lambda: not rounds.is_busy)
    good = told()
    assert (good["wattle_archive_runs"], good["wattle_archive_rounds_total{result=ok}"]) == (4, 1)
    assert good["wattle_archive_bytes"] == api.get("/api/archive").get_json()["bytes"] > 1000

    url = "sqlite:////proc/none/archive.db"
    away = create_app(Settings(_env_file=None, data_dir=tmp_path, database_url=url), db)
    facts = db.archiving.read_facts()
    db.archiving.note_facts({"good_at": repr(float(facts["good_at"]) - 1000)})
    wait_until(lambda: not db.locks.is_held("archive"))
    state_of(away).archive_rounds.begin_now()
    wait_until(lambda: not state_of(away).archive_rounds.is_busy)
    bad = told()
    assert bad["wattle_archive_rounds_total{result=failed}"] == 1
    assert bad["wattle_archive_good_round_age_seconds"] > 999 > bad["wattle_archive_round_age_seconds"]


def test_a_redis_that_is_nearly_full_archives_early_and_takes_runs_but_no_points(
    api: FlaskClient, db: RedisDB, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(api.application)
    monkeypatch.setattr(db.memory, "share", lambda: 0.93)
    body = {"session": "s", "seq": 9, "points": {"loss": {"steps": [1], "values": [1.0], "times": [1.0]}}}
    begun = api.post("/api/experiments", json={"name": "new"})
    refused = api.post(f"/api/metrics/{begun.get_json()['iid']}", json=body)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (503, "store_full")
    assert refused.headers["Retry-After"]
    assert api.post("/train", json={"num_epochs": 1, "trainer": "demo"}).status_code == 201
    ended_s = max(float(raw.hget(f"run:{run_id}", "ended_at") or 0) for run_id in ENDED)
    soon = ArchiveRounds(db, state.archive, state.settings, clock=lambda: ended_s + 3600)
    soon.begin()
    wait_until(lambda: not soon.is_busy)
    assert db.archiving.count() == 0  # none that ended within a day
    early = ArchiveRounds(db, state.archive, state.settings, clock=lambda: ended_s + 26 * 3600)
    early.begin()
    wait_until(lambda: not early.is_busy)
    assert db.archiving.count() == len(ENDED)
