"""The client reads files, histograms, models, lineage and retention of the real API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient

from backend import create_app
from client import Client
from errors import ApiRefused
from redis_db import RedisDB
from schema import RetentionPolicy
from settings import Settings
from tests.weights import safetensors

BYTES = "application/octet-stream"


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


@pytest.fixture
def client(api: FlaskClient) -> Iterator[Client]:
    with Client("http://localhost:5000", transport=httpx.WSGITransport(api.application)) as client:
        yield client


@pytest.fixture
def iid(api: FlaskClient) -> str:
    iid = str(api.post("/api/experiments", json={"name": "a", "project": "lab"}).get_json()["iid"])
    for step in (1, 2):
        path = f"/api/artifacts/{iid}/nets/w.st-1?kind=checkpoint&step={step}"
        assert api.post(path, data=safetensors(), content_type=BYTES).status_code == 201
    return iid


def test_artifacts_are_listed_read_and_deleted(client: Client, iid: str) -> None:
    page = client.list_artifacts(iid, kind="checkpoint", name="nets/w.st-1", limit=1)
    assert [found.version for found in page.artifacts] == [2]
    older = client.list_artifacts(iid, cursor=page.next_cursor)
    assert [found.version for found in older.artifacts] == [1]
    assert client.fetch_artifact(iid, "nets/w.st-1", 1) == safetensors()
    client.delete_artifact(iid, "nets/w.st-1", 1)
    with pytest.raises(ApiRefused, match="no artifact"):
        client.fetch_artifact(iid, "nets/w.st-1", 1)


def test_histograms_are_listed_and_read(client: Client, api: FlaskClient, iid: str) -> None:
    one = {"name": "a/b", "step": 1, "time": 1.5, "edges": [0, 1], "counts": [2]}
    api.post(f"/api/histograms/{iid}", json={"session": "s", "seq": 1, "histograms": [one]})
    assert client.list_histograms(iid).names == ["a/b"]
    found = client.read_histograms(iid, ["a/b"]).histograms
    assert found is not None
    assert (found["a/b"].steps, found["a/b"].counts, found["a/b"].nonfinite) == ([1], [[2]], [0])


def test_models_are_registered_promoted_used_and_forgotten(
    client: Client, api: FlaskClient, iid: str
) -> None:
    made = client.register_model("net.v-1", iid, "nets/w.st-1")
    assert (made.version, made.artifact.version) == (1, 2)
    assert client.set_stage("net.v-1", 1, "production", "why").history[-1].note == "why"
    assert [one.name for one in client.list_versions(stage="production", project="lab").models] == ["net.v-1"]
    assert client.fetch_version("net.v-1", 1) == safetensors()
    assert len(client.list_run_models(iid).checkpoints) == 2
    user = str(api.post("/api/experiments", json={"name": "b"}).get_json()["iid"])
    assert client.use_models(user, ["net.v-1:1"]) == client.get_lineage(user)
    assert set(client.get_lineage(user).edges) == {(iid, "net.v-1:1"), ("net.v-1:1", user)}
    with pytest.raises(ApiRefused, match="in production"):
        client.delete_version("net.v-1", 1)
    client.set_stage("net.v-1", 1, "archived")
    client.delete_version("net.v-1", 1)
    assert client.list_versions().models == []


def test_retention_is_set_planned_and_applied(client: Client, api: FlaskClient, iid: str) -> None:
    api.post(f"/api/experiments/{iid}/status", json={"status": "done"})
    policy = RetentionPolicy(keep_last=1)
    assert client.set_retention("lab", policy) == client.get_retention("lab") == policy
    plan = client.plan_retention("lab")
    assert ([one.version for one in plan.deletes], plan.kept) == ([1], 1)
    assert client.apply_retention("lab", plan.token).deleted == 1
    with pytest.raises(ApiRefused, match="has changed"):
        client.apply_retention("lab", plan.token)
