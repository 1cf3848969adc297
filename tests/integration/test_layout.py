"""The version of the store's layout: older stores are brought up to date, newer ones left alone."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from backend import create_app
from errors import StoreTooNew
from redis_db import RedisDB
from schema import Status
from settings import Settings
from store.connection import Connection
from store.keys import Keys
from store.layout import Layout, Migration
from tests.stored_commands import load


class Died(BaseException):
    """What a SIGKILL looks like from inside."""


def layout_of(db: RedisDB, *steps: Migration) -> Layout:
    """The layout as a later program sees it, which has more migrations."""
    return Layout(db._connection, Keys(), migrations=steps, sleep=lambda _: None)


def rename_views(connection: Connection, _: Keys) -> None:
    if connection.call("EXISTS", "views:saved"):
        connection.call("RENAME", "views:saved", "views:kept")


def count(connection: Connection, _: Keys) -> None:
    connection.call("SADD", "steps", "counted")


def test_a_store_of_the_previous_release_shows_every_run(db: RedisDB, raw: redis.Redis) -> None:
    load(raw, "layout-1.jsonl")
    assert db.layout.prepare() == 1
    assert raw.get("store:layout") == str(db.layout.newest)
    found = {run.run_id[:2]: run for run in db.runs.list().runs}
    assert {name: run.status for name, run in found.items()} == {
        "d0": Status.DONE,
        "e0": Status.DONE,
        "fa": Status.FAILED,
        "ca": Status.CANCELLED,
        "3a": Status.WAITING,
        "de": Status.DEFERRED,
    }
    done = found["d0"]
    assert (done.best_accuracy, done.options.tags, done.starred) == (0.8, ("night",), True)
    assert [result.co2_g for result in db.runs.list_epochs(done.run_id)] == [0.4, 0.8, 1.2]
    assert [line.text for line in db.log.list(done.run_id)] == ["epoch 1", "Ende – fertig"]
    assert [note.text for note in db.external.list_notes(done.run_id)] == ["worth keeping"]
    assert [metric.name for metric in db.metrics.list(found["e0"])] == ["loss", "test_accuracy"]
    assert db.metrics.get(found["e0"].run_id, "loss")["value"].tolist() == [2.0, 1.0]
    assert db.artifacts.get(found["e0"].run_id, "weights").artifact.version == 1
    assert db.queue.claim(["gpu"], worker_id="w", lease_s=60) is not None


def test_a_store_without_a_version_goes_through_every_migration_once(db: RedisDB, raw: redis.Redis) -> None:
    raw.hset("views:saved", "mine", "{}")
    later = layout_of(db, rename_views, count)
    assert later.prepare() == 1
    assert (raw.get("store:layout"), raw.exists("views:kept", "steps")) == ("3", 2)
    raw.delete("steps")
    with pytest.raises(StoreTooNew):
        db.layout.prepare()
    assert later.prepare() == 3
    assert not raw.exists("steps")


@pytest.mark.parametrize("is_after", [False, True])
def test_a_migration_that_is_killed_is_done_again_by_who_comes_next(
    db: RedisDB, raw: redis.Redis, is_after: bool
) -> None:
    raw.hset("views:saved", "mine", "{}")

    def die(connection: Connection, keys: Keys) -> None:
        if is_after:
            rename_views(connection, keys)
        raise Died

    with pytest.raises(Died):
        layout_of(db, die, count).prepare()
    raw.delete("lock:migrations")  # it expires
    layout_of(db, rename_views, count).prepare()
    assert (raw.get("store:layout"), raw.exists("views:kept", "steps")) == ("3", 2)


def test_of_two_programs_that_start_at_once_one_migrates(db: RedisDB, raw: redis.Redis) -> None:
    calls: list[Any] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection, keys: Keys) -> None:
        calls.append(1)
        begun.set()
        assert go_on.wait(60)

    first = threading.Thread(target=layout_of(db, slow).prepare)
    first.start()
    assert begun.wait(60)
    second = Layout(db._connection, Keys(), migrations=(slow,), sleep=lambda _: go_on.set())
    second.prepare()
    first.join()
    assert (calls, raw.get("store:layout")) == ([1], "2")


def test_nothing_is_written_to_a_store_that_a_newer_program_wrote(
    redis_url: str, db: RedisDB, raw: redis.Redis
) -> None:
    raw.set("store:layout", db.layout.newest + 1)
    with RedisDB(redis_url) as late:
        for call in (
            late.layout.prepare,
            late.ping,
            lambda: late.queue.submit({"num_epochs": 1}),
            lambda: late.queue.wait(["default"], timeout_s=1),
        ):
            with pytest.raises(StoreTooNew, match=r"layout 2, .* up to 1: .*Upgrade this program"):
                call()
    assert raw.keys("*") == ["store:layout"]


def test_the_api_says_why_it_cannot_work_on_a_newer_store(redis_url: str, raw: redis.Redis) -> None:
    raw.flushall()
    raw.set("store:layout", 7)
    with RedisDB(redis_url) as store:
        asker = create_app(Settings(_env_file=None), store).test_client()
        health, runs = asker.get("/healthz"), asker.get("/api/runs?limit=1")
    said = health.get_json()
    assert (health.status_code, said["status"]) == (503, "unavailable")
    assert "layout 7" in said["warnings"][0]
    assert "Upgrade" in said["warnings"][0]
    assert (runs.status_code, runs.get_json()["error"]["code"]) == (503, "store_too_new")
