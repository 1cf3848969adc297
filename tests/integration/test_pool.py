"""The pool of connections: quick, but never somebody else's or a dead one for long."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from store import pool
from store.pool import QuickPool, quicken


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with quicken(redis.Redis.from_url(redis_url)) as quick:
        yield quick


def test_a_connection_is_used_again_while_it_is_free(client: redis.Redis) -> None:
    assert client.client_id() == client.client_id()


def test_two_that_are_taken_at_the_same_time_are_two(client: redis.Redis) -> None:
    client.ping()
    first, second = client.connection_pool.get_connection(), client.connection_pool.get_connection()
    assert first is not second
    for connection in (first, second):
        client.connection_pool.release(connection)


def test_threads_get_their_own_answers(client: redis.Redis) -> None:
    wrong: list[object] = []

    def ask(name: str) -> None:
        for number in range(300):
            text = f"{name} {number}".encode()
            if (answer := client.echo(text)) != text:
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_closing_does_not_mind_what_other_threads_do_meanwhile(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = client.connection_pool
    first, second = (connections.get_connection() for _ in range(2))
    disconnected = []

    def disconnect(connection: redis.Connection) -> None:
        # What a thread may do between two of these.
        disconnected.append(connection)
        connections.release(second if connection is first else first)

    monkeypatch.setattr(type(first), "disconnect", disconnect)
    connections.disconnect()
    assert {first, second} <= set(disconnected)


def test_a_store_works_on_after_its_server_was_restarted_while_it_rested(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisDB(own_redis.url) as db:
        db.ping()
        own_redis.stop()
        own_redis.start()
        monkeypatch.setattr(pool, "FRESH_S", 0.0)
        db.ping()


def test_a_connection_the_server_closed_a_moment_ago_costs_no_call(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FRESH_S", 60.0)
    with RedisDB(own_redis.url) as db, redis.Redis.from_url(own_redis.url) as admin:
        run = db.queue.submit({"num_epochs": 1})
        assert admin.client_kill_filter(_type="normal", skipme=True) >= 1
        assert db.controls.pause(run.run_id).status == "paused"
        own_redis.stop()
        own_redis.start()
        db.ping()


def test_a_server_that_was_restarted_within_a_moment_costs_at_most_one_call(own_redis: RedisServer) -> None:
    with RedisDB(own_redis.url) as db:
        db.ping()
        own_redis.stop()
        with pytest.raises(StoreUnavailable):
            db.ping()
        own_redis.start()
        db.ping()


def test_the_driver_is_not_asked_about_a_connection_that_was_just_used(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.ping()

    def refuse(*_: object) -> None:
        raise AssertionError("the driver's own pool was asked")

    monkeypatch.setattr(redis.ConnectionPool, "get_connection", refuse)
    assert client.ping()
    assert isinstance(client.connection_pool, QuickPool)
