"""Finding what is due for the archive, where years of archived runs stand before it in the indexes."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from api.moving import _all_runs as export_bundles
from api.state import state_of
from archive.moving import Moving
from archive.opening import open_archive
from backend import create_app
from redis_db import RedisDB
from schema import SortField, Status
from settings import Settings
from store.keys import Keys
from tests.integration.test_archive import ENDED
from tests.integration.test_archive_routes import archive_all
from tests.stored_commands import load

FEW, MANY = 10_000, 80_000
# Linear in the runs is 8, each piece from the beginning is 64.
MOST = 24


def add_archived(client: redis.Redis, first: int, last: int) -> None:
    """Let these runs be in the index of done ones, and in the archive."""
    keys = Keys()
    index = keys.of("by", SortField.TIME_ADDED, Status.DONE)
    with client.pipeline(transaction=False) as pipe:
        for number in range(first, last):
            pipe.zadd(index, {f"{number:032x}": 1e9 + number})
            pipe.hset(keys.of("archived"), f"{number:032x}", "place")
        pipe.execute()


def measure_us(db: RedisDB, client: redis.Redis) -> float:
    """Return the time that Redis' commands take for a look at what is due, the least of three."""
    taken = []
    for _ in range(3):
        client.config_resetstat()
        assert list(db.archiving.list_due(2e9)) == []
        stats = client.info("commandstats").items()
        taken.append(sum(each["usec"] for name, each in stats if name.startswith("cmdstat_z")))
    return float(min(taken))


def test_years_of_archived_runs_make_a_look_at_what_is_due_longer_only_as_many_as_they_are(
    db: RedisDB, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        add_archived(client, 0, FEW)
        few_us = measure_us(db, client)
        add_archived(client, FEW, MANY)
        many_us = measure_us(db, client)
    assert many_us < MOST * few_us


def test_what_is_due_is_found_behind_archived_runs_and_what_is_younger_is_not(
    db: RedisDB, redis_url: str
) -> None:
    keys = Keys()
    with redis.Redis.from_url(redis_url) as client:
        add_archived(client, 0, 1_200)
        index = keys.of("by", SortField.TIME_ADDED, Status.DONE)
        for run_id, added_s in (("due", 1.5e9), ("ended-later", 1.5e9 + 1), ("younger", 1.8e9)):
            client.zadd(index, {run_id: added_s})
            client.hset(keys.of("run", run_id), "ended_at", 1.7e9 if run_id == "ended-later" else added_s)
    assert list(db.archiving.list_due(1.6e9)) == ["due"]
    assert list(db.archiving.list_ended())[-3:] == ["due", "ended-later", "younger"]


def test_runs_that_are_left_are_looked_at_once(
    db: RedisDB, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, left = Keys(), 2_000
    settings = Settings(_env_file=None, data_dir=tmp_path)
    archive = open_archive(settings, layout=1)
    monkeypatch.setattr(db.archiving, "read", lambda _: None)  # they are gone when it is their turn
    with redis.Redis.from_url(redis_url) as client:
        index = keys.of("by", SortField.TIME_ADDED, Status.DONE)
        with client.pipeline(transaction=False) as pipe:
            for number in range(left):
                pipe.zadd(index, {f"{number:032x}": 1e9 + number})
                pipe.hset(keys.of("run", f"{number:032x}"), "ended_at", 1e9 + number)
            pipe.execute()
        client.config_resetstat()
        done = Moving(db, archive, settings, lambda: 2e9).move_all(older_than_s=1.0)
        looks = client.info("commandstats")["cmdstat_hget"]["calls"]
    archive.close()
    assert (done.left, done.problem) == (left, None)
    assert looks == left


@pytest.mark.parametrize("is_at_once", [False, True])
def test_a_deletion_meanwhile_hides_no_other_run(db: RedisDB, redis_url: str, is_at_once: bool) -> None:
    index = Keys().of("by", SortField.TIME_ADDED, Status.DONE)
    run_ids = [f"{number:032x}" for number in range(3_000)]
    with redis.Redis.from_url(redis_url) as client:
        # As many of one score as several pieces have, in the second case.
        client.zadd(index, {run_id: 1e9 if is_at_once else number for number, run_id in enumerate(run_ids)})
        walk, found = db.archiving.list_ended(), list[str]()
        for place, run_id in enumerate(walk):
            found.append(run_id)
            if place % 400 == 100:
                client.zrem(index, *found[place - 50 : place])
        left = {member.decode() for member in client.zrange(index, 0, -1)}
    assert len(left) == 3_000 - 8 * 50
    assert left <= set(found)
    assert len(found) == len(set(found)) == 3_000


@pytest.mark.parametrize("is_archived", [False, True])
def test_runs_that_are_archived_or_restored_during_an_export_are_in_it(
    db: RedisDB, raw: redis.Redis, tmp_path: Path, is_archived: bool
) -> None:
    load(raw, "layout-1.jsonl")
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), db)
    api = app.test_client()
    if is_archived:
        archive_all(api)
    with app.test_request_context("/api/export"):
        bundles = export_bundles()
        exported = [next(bundles).run_id]
        if is_archived:
            assert all(
                api.post(f"/api/runs/{run_id}/restore", json={}).status_code == 200 for run_id in ENDED
            )
        else:
            archive_all(api)
        exported += [bundle.run_id for bundle in bundles]
    state_of(app).archive.close()
    assert sorted(exported) == sorted(ENDED)
