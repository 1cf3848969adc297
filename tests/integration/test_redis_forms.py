"""What is special about a Redis that has replicas, and what about a Redis is warned about."""

from __future__ import annotations

import logging
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from pydantic import JsonValue

from backend import create_app
from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from settings import Settings
from store.address import parse_address
from store.connection import REPLICA_WAIT_MS, Connection
from store.fitness import CHECK_EVERY_S, Fitness
from store.keys import Keys
from tests.conftest import start_redis
from tests.records import claim
from tests.redis_forms import Cluster, SentinelTrio, client_of

PARAMS: dict[str, JsonValue] = {"num_epochs": 1}


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder:
        server = start_redis(RedisServer(Path(folder), unix_socket=Path(folder) / "s"))
        yield server
        server.stop()


def waits_of(url: str) -> int:
    """How often a server was asked to wait for a replica."""
    with redis.Redis.from_url(url) as admin:
        return int(admin.info("commandstats").get("cmdstat_wait", {"calls": 0})["calls"])


def test_a_submission_waits_for_a_replica_and_nothing_else_does(
    sentinels: SentinelTrio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    confirmed = 0
    with RedisDB(sentinels.url) as db, client_of(sentinels.replica.port) as replica:
        db.queue.submit(PARAMS)  # the server knows the script from now on
        before = waits_of(sentinels.primary_url)
        for number in range(20):
            run = db.queue.submit(PARAMS)
            # A busy machine may take longer than is waited for; then the log says so until it is mended.
            if not caplog.records or caplog.records[-1].levelno < logging.WARNING:
                confirmed += 1
                assert replica.exists(f"run:{run.run_id}")
            assert waits_of(sentinels.primary_url) == before + number + 1
        db.queue.release(claim(db), reason="stop")
    assert waits_of(sentinels.primary_url) == before + 20
    assert confirmed


def test_without_a_replica_nothing_is_waited_for(durable: RedisServer) -> None:
    with RedisDB(durable.url) as db:
        db.queue.submit(PARAMS)
    assert waits_of(durable.url) == 0


def test_a_script_that_the_server_does_not_know_yet_waits_too(sentinels: SentinelTrio) -> None:
    with client_of(sentinels.primary.port) as admin:
        admin.script_flush()
    before = waits_of(sentinels.primary_url)
    with RedisDB(sentinels.url) as db:
        run = db.queue.submit(PARAMS)
        assert db.runs.get(run.run_id) == run
    # once with the script that is not known, once with its text
    assert waits_of(sentinels.primary_url) == before + 2


def test_a_replica_that_hangs_delays_a_submission_for_a_tenth_of_a_second_and_is_logged_once(
    sentinels: SentinelTrio, caplog: pytest.LogCaptureFixture
) -> None:
    replica = sentinels.replica.process
    assert replica is not None
    with RedisDB(sentinels.url) as db:
        db.queue.submit(PARAMS)
        assert not caplog.records
        replica.send_signal(signal.SIGSTOP)
        try:
            begin_s = time.monotonic()
            runs = [db.queue.submit(PARAMS) for _ in range(2)]
            assert time.monotonic() - begin_s >= 2 * REPLICA_WAIT_MS / 1000
        finally:
            replica.send_signal(signal.SIGCONT)
        assert [db.runs.get(run.run_id) for run in runs] == runs
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "a fail-over now would lose it" in caplog.text
        with client_of(sentinels.primary.port) as admin:
            assert admin.wait(1, 20_000) == 1
        with caplog.at_level(logging.INFO):
            db.queue.submit(PARAMS)
        assert "has new runs again" in caplog.text


def test_a_cluster_is_reached_through_any_of_its_nodes(cluster: Cluster) -> None:
    assert str(cluster.owner.port) not in cluster.url
    with RedisDB(cluster.url) as db, client_of(cluster.owner.port) as owner:
        db.queue.submit(PARAMS, run_id="a")
        assert owner.exists("{wattle}:run:a")
        assert abs(db.now().timestamp() - time.time()) < 60


@contextmanager
def password(ports: list[int]) -> Iterator[None]:
    """Make servers ask for the password "hidden"."""
    clients = [client_of(port) for port in ports]
    for client in clients:
        client.execute_command("ACL", "SETUSER", "default", "resetpass", ">hidden")
    try:
        yield
    finally:
        for client in clients:
            # Its connection was opened before.
            client.execute_command("ACL", "SETUSER", "default", "nopass")
            client.close()


def test_sentinels_have_a_password_of_their_own(sentinels: SentinelTrio) -> None:
    with password([sentinel.port for sentinel in sentinels.sentinels]):
        with RedisDB(sentinels.url) as db, pytest.raises(StoreUnavailable, match="sentinel_password"):
            db.ping()
        wrong = f"{sentinels.url}?sentinel_password=wrong"
        with RedisDB(wrong) as db, pytest.raises(StoreUnavailable, match="sentinel_password") as refused:
            db.ping()
        assert "<" not in str(refused.value)
        with RedisDB(f"{sentinels.url}?sentinel_password=hidden") as db:
            db.ping()


def test_a_cluster_may_ask_for_a_password(cluster: Cluster) -> None:
    with password([node.port for node in cluster.nodes]):
        with RedisDB(cluster.url) as db, pytest.raises(StoreUnavailable, match="user name or password"):
            db.ping()
        with RedisDB(cluster.url.replace("://", "://:hidden@")) as db:
            db.queue.submit(PARAMS)


def test_a_cluster_under_the_address_of_one_server_is_explained(cluster: Cluster) -> None:
    for node in cluster.nodes:
        with RedisDB(node.url) as db, pytest.raises(StoreUnavailable, match=r"redis\+cluster"):
            db.queue.submit(PARAMS)


def test_one_server_under_the_address_of_a_cluster_is_explained(sentinels: SentinelTrio) -> None:
    url = f"redis+cluster://127.0.0.1:{sentinels.primary.port}"
    with RedisDB(url) as db, pytest.raises(StoreUnavailable, match="is no Cluster"):
        db.ping()


def test_a_service_that_no_sentinel_knows_is_explained(sentinels: SentinelTrio) -> None:
    url = sentinels.url.replace("/wattle/", "/other/")
    with RedisDB(url) as db, pytest.raises(StoreUnavailable, match=r"service other .*correct the hosts"):
        db.ping()


@pytest.mark.parametrize("url", ["redis+cluster://127.0.0.1:1,127.0.0.1:2", "redis+sentinel://127.0.0.1:1/s"])
def test_hosts_that_do_not_answer_are_an_outage(url: str) -> None:
    with RedisDB(url) as db:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="WATTLE_REDIS_URL"):
                db.ping()


def test_health_warns_about_what_could_lose_runs(durable: RedisServer) -> None:
    with redis.Redis.from_url(durable.url) as admin, RedisDB(durable.url) as db:
        api = create_app(Settings(), db).test_client()
        assert api.get("/healthz").get_json()["warnings"] == []
        admin.config_set("maxmemory", 10**9)
        admin.config_set("maxmemory-policy", "allkeys-lru")
        admin.config_set("appendonly", "no")
        admin.replicaof("127.0.0.1", "1")
        health = api.get("/healthz")
    assert health.status_code == 200
    said = health.get_json()["warnings"]
    for warning, word in zip(said, ("read-only replica", "allkeys-lru", "appendonly"), strict=True):
        assert word in warning


def test_a_warning_is_logged_once_and_again_when_it_comes_back(
    durable: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 1000.0
    connection = Connection(parse_address(durable.url, None), key_formats=Keys().formats, newest_layout=1)
    fitness = Fitness(connection, clock=lambda: now_s)
    with redis.Redis.from_url(durable.url) as admin:
        logged = []
        for is_durable in ("yes", "no", "no", "yes", "no"):
            admin.config_set("appendonly", is_durable)
            fitness.log_warnings()
            fitness.log_warnings()
            logged.append(len(caplog.records))
            now_s += CHECK_EVERY_S
    connection.close()
    assert logged == [0, 1, 1, 1, 2]
