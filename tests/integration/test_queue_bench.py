"""bench.queue, bench.faults and bench.store with few runs, on a private Redis and without the peers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import redis

from bench import contestants
from bench.claim_cost import measure_claims
from bench.contestants import Stage, new_redis, ours, peer
from bench.fault_scenes import killed_after_pop, redis_away
from bench.faults import CONTESTANTS, is_right
from bench.queue import drain
from bench.run_memory import INDEXES, OWN, measure_runs
from bench.run_template import EPOCHS, RunTemplate, is_failed
from bench.seeding import Seeder
from bench.store import check, seed
from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import EpochResult, Status
from tests.conftest import start_redis
from tests.records import extra

NOOPS = ours("ours", "Wattle", "-m", "bench.peers.ours", "work", "default")


@pytest.fixture
def server(tmp_path: Path) -> RedisServer:
    return start_redis(new_redis(tmp_path / "redis"))


@pytest.fixture
def template(redis_url: str) -> RunTemplate:
    result = EpochResult(
        epoch=1, train_loss=0.5, train_accuracy=0.9, test_loss=0.6, test_accuracy=0.8, duration_s=1.5
    )
    epochs = tuple(
        result.model_copy(update={"epoch": epoch, "energy_kwh": 1e-6}) for epoch in range(1, EPOCHS + 1)
    )
    changes = {
        "environment": {"train_images": 1437, "test_images": 360},
        "hyper_params": {"num_epochs": EPOCHS},
    }
    run = Seeder(redis_url).submit("template", {"num_epochs": EPOCHS}).model_copy(update=changes)
    return RunTemplate(run, epochs, (extra(name="rest"),))


def test_our_worker_drains_its_queue_and_starts_what_comes_while_it_is_idle(
    server: RedisServer, tmp_path: Path
) -> None:
    try:
        with Stage(NOOPS, server, tmp_path / "stage") as stage:
            found = drain(stage, 50, 3)
        with RedisDB(server.url) as db:
            counts = db.runs.count_by_status()
    finally:
        server.stop()
    assert counts[Status.DONE] >= 50 + 3
    assert counts[Status.FAILED] == 0
    assert found.drain_per_s > 0
    assert found.enqueue_per_s > 0
    assert len(found.latencies_ms) == 3
    assert all(latency_ms > 0 for latency_ms in found.latencies_ms)


def test_a_peer_that_is_not_installed_is_a_reason(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contestants, "PEERS", tmp_path / "python")
    try:
        with Stage(peer("rq", "RQ", "rq_peer", "simple"), server, tmp_path / "stage") as stage:
            assert stage.producer.reason == "There is no python of RQ's environment. Run: make peers"
    finally:
        server.stop()


@pytest.mark.slow
def test_a_run_whose_worker_dies_between_claim_and_start_is_run_again(
    server: RedisServer, tmp_path: Path
) -> None:
    short = replace(CONTESTANTS[0], environment={"WATTLE_LEASE_S": "2"})
    try:
        with Stage(short, server, tmp_path / "stage") as stage:
            found = killed_after_pop(stage, 60.0)
    finally:
        server.stop()
    assert is_right(found), found
    assert found.starts == found.ends == 1


@pytest.mark.slow
def test_a_run_that_ends_while_redis_is_away_is_recorded_once_when_it_is_back(
    server: RedisServer, tmp_path: Path
) -> None:
    try:
        with Stage(CONTESTANTS[0], server, tmp_path / "stage") as stage:
            found = redis_away(stage, 60.0)
    finally:
        server.stop()
    assert is_right(found), found
    assert found.starts == found.ends == 1


def test_claims_are_measured_where_few_and_where_many_wait(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.claim_cost.MANY", 300)
    costs = measure_claims(redis_url, claims=5)
    assert len(costs.few_s) == len(costs.many_s) == 5
    assert min(*costs.few_s, *costs.many_s) > 0
    assert min(*costs.few_inside_s, *costs.many_inside_s) > 0
    with RedisDB(redis_url, 1) as db:
        assert db.queue.length("default") == 300


def test_seeded_runs_are_as_the_product_writes_them(
    db: RedisDB, redis_url: str, template: RunTemplate
) -> None:
    seed(template, redis_url, range(20))
    runs = {run.run_id: run for run in db.runs.list().runs}
    assert len(runs) == 20
    for number in range(20):
        run = runs[f"{number:032x}"]
        assert run.status is (Status.FAILED if is_failed(number) else Status.DONE)
        assert run.epochs_done == len(db.runs.list_epochs(run.run_id)) == EPOCHS
        assert run.hyper_params["seed"] == number
        assert (run.error is not None) is is_failed(number)
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists("queue:leases", "queue:requests") == 0
        parts = measure_runs(client, list(runs))
    assert all(parts[kind] > 0 for kind in (*OWN, INDEXES)), parts


def test_a_seeding_that_lacks_runs_is_noticed(db: RedisDB, redis_url: str, template: RunTemplate) -> None:
    seed(template, redis_url, range(5))
    with pytest.raises(SystemExit, match="not 6 runs"):
        check(redis_url, 6)


def test_a_refusal_is_not_lost_when_replies_are_awaited_late(
    db: RedisDB, redis_url: str, template: RunTemplate
) -> None:
    seeder = Seeder(redis_url)
    run = seeder.submit("one", template.hyper_params(1))
    seeder.train(run, template.epochs_of(1), {})
    seeder.train(run, template.epochs_of(1), {})
    with pytest.raises(StoreUnavailable, match="LEASELOST"):
        seeder.flush()
