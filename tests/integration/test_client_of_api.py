"""The client against the real API, without a server between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend import create_app
from client import Client
from errors import ApiRefused, ApiUnavailable
from redis_db import RedisDB
from schema import InUpdate, RunOptions, Status
from settings import Settings
from tests.integration.test_api import claim, epoch
from tests.records import TORCH_WORKER


@pytest.fixture
def client(db: RedisDB, tmp_path: Path) -> Iterator[Client]:
    app = create_app(Settings(data_dir=tmp_path), db)
    with Client("http://localhost:5000", transport=httpx.WSGITransport(app)) as client:
        yield client


def test_a_run_is_submitted_watched_and_found_again(client: Client, db: RedisDB) -> None:
    iid = client.submit({"num_epochs": 2}, RunOptions(tags=("a",)), idempotency_key="k").iid
    assert client.submit({"num_epochs": 2}, RunOptions(tags=("a",)), idempotency_key="k").iid == iid
    assert client.get_run(iid).in_update == ()

    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1))
    db.log.append(lease, ["epoch 1"])

    run = client.get_run(iid)
    assert (run.status, run.progress) == (Status.RUNNING, 0.5)
    assert isinstance(run.in_update, InUpdate)
    assert [result.epoch for result in client.list_epochs(iid).epochs] == [1]
    assert [line.text for line in client.list_log(iid).lines] == ["epoch 1"]
    listed = client.list_runs(status=Status.RUNNING, limit=1, fields=("sparkline",))
    assert [(run.iid, run.sparkline) for run in listed.results] == [(iid, [0.5])]


@pytest.mark.parametrize("worker_id", ["rack 7-1f", "..-1f", "a?b#c-1f", "%2F-1f", "drain"])
def test_a_worker_of_any_name_is_drained(client: Client, db: RedisDB, worker_id: str) -> None:
    db.workers.beat(TORCH_WORKER.model_copy(update={"worker_id": worker_id}), ttl_s=60)
    drained = client.drain_worker(worker_id, is_draining=True)
    assert (drained.worker_id, drained.is_draining) == (worker_id, True)


def test_trainers_and_health_are_read(client: Client) -> None:
    assert client.list_trainers().trainers[0].name == "cnn"
    assert client.get_health().status == "ok"


def test_what_is_wrong_is_told_field_by_field(client: Client) -> None:
    with pytest.raises(ApiRefused) as caught:
        client.submit({"num_epochs": 0})
    assert caught.value.status == 422
    assert [detail.field for detail in caught.value.details] == ["hyper_params.num_epochs"]


@pytest.mark.parametrize("iid", ["0" * 32, "..", "a/b", "a\n", "é"])
def test_a_run_that_does_not_exist_is_refused(client: Client, iid: str) -> None:
    with pytest.raises(ApiRefused) as caught:
        client.get_run(iid)
    assert caught.value.status == 404


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:1")
    with Client("http://127.0.0.1:1") as client, pytest.raises(ApiUnavailable, match="efused"):
        client.list_runs()


def test_runs_are_controlled_one_by_one(client: Client, db: RedisDB) -> None:
    iid = client.submit({"num_epochs": 2}).iid
    assert client.pause_run(iid).status is Status.PAUSED
    assert client.set_priority(iid, "high").options.priority == "high"
    assert client.resume_run(iid).status is Status.WAITING
    claim(db)
    assert client.preempt_run(iid).request == "preempt"
    assert client.resume_run(iid).request is None
    assert client.cancel_run(iid).request == "cancel"
    db.queue.finish(claim(db), Status.CANCELLED)
    assert client.retry_run(iid).status is Status.WAITING
    again = client.rerun_run(iid, {"num_epochs": 3}, options={"tags": ["b"]}, idempotency_key="k")
    assert (again.rerun_of, again.num_epochs, again.options.tags) == (iid, 3, ("b",))
    same = client.rerun_run(iid, {"num_epochs": 3}, options={"tags": ["b"]}, idempotency_key="k")
    assert same.iid == again.iid


def test_many_runs_are_controlled_at_once_and_deleted(client: Client, db: RedisDB) -> None:
    iids = [client.submit({"num_epochs": 2}).iid for _ in range(2)]
    with pytest.raises(ApiRefused, match="cancel it first"):
        client.delete_run(iids[0])
    assert client.bulk("cancel", iids).succeeded == 2
    assert client.bulk("priority", iids, priority="high").refused == 2
    assert client.bulk("retry", status=Status.CANCELLED).left == 0
    assert client.bulk("cancel", status=Status.WAITING).succeeded == 2
    told = client.get_deletion(iids[0])
    assert (told.iid, told.status) == (iids[0], Status.CANCELLED)
    assert client.delete_run(iids[0]) == told
    assert client.bulk("delete", iids).outcomes[0].code == "not_found"
    assert db.runs.list().total == 0


def test_workers_are_listed_and_drained(client: Client, db: RedisDB) -> None:
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    (worker,) = client.list_workers().workers
    assert (worker.is_live, worker.is_draining) == (True, False)
    assert client.drain_worker(worker.worker_id, True).is_draining
    assert not client.drain_worker(worker.worker_id, False).is_draining
