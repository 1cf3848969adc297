"""A primary dies or changes places: an outage of seconds, after which everybody goes on as before."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue
from redis.cluster import NodesManager

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import Status
from tests.programs import Programs, wait_until
from tests.redis_forms import Cluster, SentinelTrio, client_of, cluster_of_three, sentinel_trio

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("TEST_REDIS_FORMS") != "all", reason="set TEST_REDIS_FORMS=all, as CI does"
    ),
]

LEASE_S = 2.0
PARAMS: dict[str, JsonValue] = {"trainer": "sleepy", "num_epochs": 24, "epoch_s": 0.25, "seed": 0}


@pytest.fixture
def trio() -> Iterator[SentinelTrio]:
    with (
        tempfile.TemporaryDirectory(prefix="wattle-") as folder,
        sentinel_trio(Path(folder), down_after_ms=1_000, is_durable=True) as started,
    ):
        yield started


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="wattle-") as folder,
        cluster_of_three(Path(folder), has_replica=True) as started,
    ):
        yield started


def kill(server: RedisServer) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def works(db: RedisDB) -> bool:
    try:
        db.queue.submit({"num_epochs": 1}, run_id="probe")
    except StoreUnavailable:
        return False
    return True


def role_of(server: RedisServer) -> str:
    with client_of(server.port) as client:
        return str(client.info("replication")["role"])


def epochs_of(db: RedisDB, run_id: str) -> list[int]:
    return [result.epoch for result in db.runs.list_epochs(run_id)]


def check_a_training_goes_through(
    url: str, victim: RedisServer, heir: RedisServer | None, folder: Path
) -> None:
    """Kill the primary while a worker trains, and see nothing lost and nobody fenced off."""
    assert heir is not None
    programs = Programs(redis_url=url, data_dir=folder / "data")
    try:
        with RedisDB(url) as db:
            run_id = db.queue.submit(PARAMS).run_id
            worker = programs.start_worker(lease_s=LEASE_S)
            wait_until(lambda: epochs_of(db, run_id))
            waiting = [db.queue.submit({"num_epochs": 1}, run_id=f"w{number}").run_id for number in range(20)]

            kill(victim)
            with pytest.raises(StoreUnavailable):
                db.queue.length()
            wait_until(lambda: works(db), what="the store works again")

            assert role_of(heir) == "master"
            assert {db.runs.get(run).status for run in waiting} == {Status.WAITING}
            wait_until(lambda: db.runs.get(run_id).status is Status.DONE)
            run = db.runs.get(run_id)
            assert (run.attempt, run.lease_losses, run.failures) == (1, 0, 0)
            assert epochs_of(db, run_id) == list(range(1, 25))
            assert worker.poll() is None
    finally:
        programs.stop()


def test_a_training_outlives_a_primary_that_sentinels_replace(trio: SentinelTrio, tmp_path: Path) -> None:
    check_a_training_goes_through(trio.url, trio.primary, trio.replica, tmp_path)


def test_a_training_outlives_a_primary_that_its_cluster_replaces(nodes: Cluster, tmp_path: Path) -> None:
    check_a_training_goes_through(nodes.url, nodes.owner, nodes.replica, tmp_path)


def test_a_primary_that_becomes_a_replica_is_left_for_the_new_one(trio: SentinelTrio) -> None:
    with RedisDB(trio.url) as db, client_of(trio.sentinels[0].port) as sentinel:
        db.queue.submit({"num_epochs": 1}, run_id="before")
        sentinel.execute_command("SENTINEL FAILOVER", "wattle")
        wait_until(lambda: role_of(trio.primary) == "slave", what="they have changed places")
        wait_until(lambda: works(db), what="the store works again")
        with client_of(trio.replica.port) as new:
            assert new.exists("run:before", "run:probe") == 2


def test_a_cluster_that_changes_its_primary_costs_no_call(nodes: Cluster) -> None:
    assert nodes.replica is not None
    with RedisDB(nodes.url) as db, client_of(nodes.replica.port) as heir:
        db.queue.submit({"num_epochs": 1}, run_id="before")
        heir.execute_command("CLUSTER FAILOVER")
        wait_until(lambda: role_of(nodes.owner) == "slave", what="they have changed places")
        db.queue.submit({"num_epochs": 1}, run_id="after")
        assert [run.run_id for run in db.runs.list(order="asc").runs] == ["before", "after"]
        db.queue.wait(["default"], timeout_s=1)
        assert db.queue.claim(["default"], worker_id="w", lease_s=60) is not None


def test_a_node_that_has_not_heard_of_the_change_is_not_believed(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nodes.replica is not None
    with RedisDB(nodes.url) as db, client_of(nodes.replica.port) as heir:
        db.queue.submit({"num_epochs": 1}, run_id="before")
        heir.execute_command("CLUSTER FAILOVER")
        wait_until(lambda: role_of(nodes.owner) == "slave", what="they have changed places")
        monkeypatch.setattr(NodesManager, "initialize", lambda _: None)  # tells what was known before
        assert db.queue.submit({"num_epochs": 1}, run_id="after").run_id == "after"


def test_who_waits_for_work_when_the_primary_changes_waits_on(nodes: Cluster) -> None:
    """A blocked pop is broken off by the fail-over; the next one waits at the new primary."""
    assert nodes.replica is not None
    outcomes: list[str] = []

    def wait_for_work() -> None:
        with RedisDB(nodes.url) as db:
            while not (outcomes and outcomes[-1] == "woken"):
                try:
                    lease = db.queue.next_request(20, worker_id="w")
                    outcomes.append("woken" if lease else "nothing")
                except StoreUnavailable:
                    outcomes.append("broken off")

    waiter = threading.Thread(target=wait_for_work)
    waiter.start()
    with RedisDB(nodes.url) as db, client_of(nodes.owner.port) as owner:
        wait_until(lambda: int(owner.info("clients")["blocked_clients"]) == 1, what="it waits")
        with client_of(nodes.replica.port) as heir:
            heir.execute_command("CLUSTER FAILOVER")
        wait_until(lambda: role_of(nodes.owner) == "slave", what="they have changed places")
        wait_until(lambda: works(db))
        waiter.join(30)
    assert outcomes[-1] == "woken"


def test_a_cluster_without_its_primary_is_an_outage(nodes: Cluster) -> None:
    assert nodes.replica is not None
    with RedisDB(nodes.url) as db:
        db.ping()
        kill(nodes.replica)
        kill(nodes.owner)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                db.queue.length()
        nodes.owner.start()
        wait_until(lambda: works(db), what="the store works again")
