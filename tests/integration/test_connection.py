"""What happens when Redis is not there, or says no."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
import redis

from cli.redis_server import RedisServer
from errors import InvalidInput, StoreUnavailable
from redis_db import RedisDB
from tests.programs import wait_until
from tests.records import claim


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_redis_that_is_away_is_named_without_its_password(closed_port: int) -> None:
    with RedisDB(f"redis://someone:hidden@127.0.0.1:{closed_port}/3") as db:
        for call in (
            db.ping,
            db.now,
            db.runs.list,
            db.runs.count_by_status,
            lambda: db.queue.submit({"num_epochs": 1}),
            lambda: db.queue.wait(["default"], timeout_s=1),
        ):
            with pytest.raises(
                StoreUnavailable, match=f"127.0.0.1:{closed_port} .database 3.*WATTLE_REDIS_URL"
            ) as away:
                call()
            assert "hidden" not in str(away.value)


def test_a_store_recovers_when_redis_comes_back(own_redis: RedisServer) -> None:
    with RedisDB(own_redis.url) as db:
        db.queue.submit({"num_epochs": 1}, run_id="a")
        own_redis.stop()
        with pytest.raises(StoreUnavailable):
            db.queue.claim(["default"], worker_id="w", lease_s=60)
        own_redis.start()
        # Its scripts are gone with its memory.
        db.queue.submit({"num_epochs": 1}, run_id="b")
        assert claim(db).run_id == "b"


def test_a_server_that_never_answers_is_given_up_after_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.connection.CALL_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with RedisDB(f"redis://127.0.0.1:{port}") as db, pytest.raises(StoreUnavailable, match="in time"):
            db.ping()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def count_calls(silent: socket.socket) -> int:
    """Close the connections that were opened to a server that answers none, and count them."""
    silent.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            silent.accept()[0].close()
            count += 1
    return count


def test_threads_that_wait_for_a_cluster_that_hangs_share_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.connection.CALL_TIMEOUT_S", 1.0)
    threads = 6
    barrier, failures = threading.Barrier(threads), list[StoreUnavailable]()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis+cluster://127.0.0.1:{silent.getsockname()[1]}"
        with RedisDB(url) as db, pytest.raises(StoreUnavailable):
            db.ping()
        alone = count_calls(silent)

        def ask() -> None:
            barrier.wait()
            try:
                db.ping()
            except StoreUnavailable as error:
                failures.append(error)

        with RedisDB(url) as db:
            asking = [threading.Thread(target=ask) for _ in range(threads)]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
        assert (len(failures), count_calls(silent)) == (threads, alone)
        assert alone > 0


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"maxmemory": "1", "maxmemory-policy": "noeviction"}, "maxmemory"),
        ({"requirepass": "hidden"}, "user name or password"),
        ({"min-replicas-to-write": "1"}, "refused a command"),
    ],
)
def test_a_redis_that_says_no_is_explained(
    own_redis: RedisServer, settings: dict[str, str], remedy: str
) -> None:
    with redis.Redis.from_url(own_redis.url) as admin, RedisDB(own_redis.url) as db:
        for name, value in settings.items():
            admin.config_set(name, value)
        with pytest.raises(StoreUnavailable, match=remedy):
            db.queue.submit({"num_epochs": 1})


def test_a_read_only_replica_is_explained(own_redis: RedisServer, closed_port: int) -> None:
    with redis.Redis.from_url(own_redis.url) as admin, RedisDB(own_redis.url) as db:
        admin.replicaof("127.0.0.1", closed_port)
        with pytest.raises(StoreUnavailable, match="primary"):
            db.queue.submit({"num_epochs": 1})


def test_a_server_that_became_a_replica_is_left_for_whom_its_name_means_by_then(
    own_redis: RedisServer, closed_port: int
) -> None:
    with redis.Redis.from_url(own_redis.url) as admin, RedisDB(own_redis.url) as db:
        db.ping()
        assert len(admin.client_list(_type="normal")) == 2
        admin.replicaof("127.0.0.1", closed_port)
        with pytest.raises(StoreUnavailable):
            db.queue.submit({"num_epochs": 1})
        wait_until(lambda: len(admin.client_list(_type="normal")) == 1, what="the old connection is closed")


def test_a_key_of_another_program_is_explained(db: RedisDB, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as other:
        other.set("queue:requests", "mine")
    with pytest.raises(StoreUnavailable, match="no other program"):
        db.queue.length("default")


@pytest.mark.parametrize("url", ["", "localhost", "http://localhost", "redis://localhost:port"])
def test_a_url_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(InvalidInput, match="WATTLE_REDIS_URL"):
        RedisDB(url)


def test_the_number_of_the_database_is_taken_from_the_argument_else_from_the_url(redis_url: str) -> None:
    for url, number, expected in (
        (redis_url, None, 0),
        (redis_url, 5, 5),
        (f"{redis_url}?db=4", None, 4),
        (f"{redis_url}?db=4", 5, 5),
    ):
        with RedisDB(url, number) as db, redis.Redis.from_url(redis_url) as raw:
            raw.flushall()
            db.queue.submit({"num_epochs": 1})
            assert list(raw.info("keyspace")) == [f"db{expected}"]


def test_a_wait_longer_than_the_socket_timeout_is_no_failure(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.connection.CALL_TIMEOUT_S", 0.1)
    with redis.Redis.from_url(own_redis.url) as admin, RedisDB(own_redis.url) as db:
        db.queue.wait(["default"], timeout_s=0.3)
        assert admin.info("commandstats")["cmdstat_blpop"]["failed_calls"] == 0
