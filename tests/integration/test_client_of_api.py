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
