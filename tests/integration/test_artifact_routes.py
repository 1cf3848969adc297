"""Files of runs are kept in versions that never change, and come back byte for byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend import create_app
from redis_db import RedisDB
from settings import Settings
from tests.artifact_place import Place
from tests.pictures import picture
from tests.weights import graph, safetensors

BYTES = "application/octet-stream"
JSON = "application/json"


@pytest.fixture(params=["local", "remote"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None if request.param == "local" else f"memory://{tmp_path.name}/artifacts"
    return Settings(data_dir=tmp_path, artifact_url=url, max_artifact_mib=2, max_run_artifacts_mib=3)


@pytest.fixture
def api(db: RedisDB, settings: Settings) -> FlaskClient:
    return create_app(settings, db).test_client()


@pytest.fixture
def iid(api: FlaskClient) -> str:
    found: str = api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]
    return found


def send(
    api: FlaskClient, iid: str, name: str, body: bytes, query: str = "", kind: str = BYTES
) -> TestResponse:
    return api.post(f"/api/artifacts/{iid}/{name}{query}", data=body, content_type=kind)


def test_a_file_comes_back_as_it_was_sent_with_what_was_said_of_it(api: FlaskClient, iid: str) -> None:
    body = bytes(range(256)) * 5_000
    digest = hashlib.sha256(body).hexdigest()
    query = f"?step=7&sha256={digest}&metrics=" + json.dumps({"accuracy": 0.5, "epoch": 3})
    reply = send(api, iid, "plots/a_b-1.bin", body, query, "application/x-mine")
    assert reply.status_code == 201
    made = reply.get_json()
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "run_id": iid, "name": "plots/a_b-1.bin", "version": 1, "kind": "file", "step": 7,
        "metrics": {"accuracy": 0.5, "epoch": 3.0}, "size_bytes": len(body), "sha256": digest,
        "content_type": "application/x-mine", "url": f"/api/artifacts/{iid}/plots/a_b-1.bin?version=1",
    }  # fmt: skip
    with api.get(made["url"]) as file:
        assert (file.status_code, file.data == body) == (200, True)
        assert file.headers["Content-Disposition"] == 'attachment; filename="a_b-1.bin"'
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert file.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert (file.headers["ETag"], file.content_type) == (f'"{digest}"', "application/x-mine")


def test_a_run_of_the_queue_has_artifacts_too(api: FlaskClient) -> None:
    iid = api.post("/train", json={"num_epochs": 1}).get_json()["iid"]
    assert send(api, iid, "a", b"1").status_code == 201
    assert [found["name"] for found in api.get(f"/api/artifacts/{iid}").get_json()["artifacts"]] == ["a"]


def test_the_same_again_is_the_version_there_is_and_anything_else_the_next_one(
    api: FlaskClient, iid: str, settings: Settings
) -> None:
    made = send(api, iid, "a", b"1", "?step=1").get_json()
    again = send(api, iid, "a", b"1", "?step=1")
    assert (again.status_code, again.get_json()) == (200, made)
    others = [
        ("", b"1"),
        ("?step=2", b"1"),
        ("?step=1&kind=graph", json.dumps(graph()).encode()),
        ("?step=1", b"2"),
    ]
    for version, (query, body) in enumerate(others, start=2):
        reply = send(api, iid, "a", body, query)
        assert (reply.status_code, reply.get_json()["version"]) == (201, version)
    with api.get(f"/api/artifacts/{iid}/a") as newest, api.get(f"/api/artifacts/{iid}/a?version=1") as first:
        assert (newest.data, first.data) == (b"2", b"1")
    assert api.get(f"/api/artifacts/{iid}/a?version=9").status_code == 404
    assert api.get(f"/api/artifacts/{iid}/b").status_code == 404


@pytest.mark.parametrize("left", [None, b"on"])
def test_a_file_that_is_gone_from_its_place_is_there_again_once_it_is_sent_again(
    db: RedisDB, raw: redis.Redis, tmp_path: Path, left: bytes | None
) -> None:
    place = Place(db, raw, tmp_path)
    query = '?metrics={"a":0.12345678901234567,"file":3}'
    made = place.send("a", b"one", query).get_json()
    (gone,) = place.files()
    gone.unlink() if left is None else gone.write_bytes(left)
    again = place.send("a", b"one", query)
    assert (again.status_code, again.get_json()) == (200, made)
    with place.api.get(made["url"]) as file:
        assert file.data == b"one"
    (kept,) = place.files()
    assert kept != gone
    assert (raw.zcard("artifacts:unsettled"), place.records()) == (0, 1)
    assert place.send("a", b"one", query).status_code == 200
    assert place.files() == [kept]


def test_artifacts_are_listed_newest_first_by_pages_kind_and_name(api: FlaskClient, iid: str) -> None:
    for number in range(5):
        send(api, iid, f"a{number % 2}", str(number).encode(), f"?step={number}")
    send(api, iid, "net", json.dumps(graph()).encode(), "?kind=graph")

    def steps(query: str) -> tuple[list[int | None], str | None]:
        page = api.get(f"/api/artifacts/{iid}{query}").get_json()
        return [found["step"] for found in page["artifacts"]], page["next_cursor"]

    assert steps("") == ([None, 4, 3, 2, 1, 0], None)
    assert steps("?kind=file&name=a1") == ([3, 1], None)
    assert steps("?kind=graph") == ([None], None)
    seen, cursor = steps("?kind=file&limit=2")
    while cursor:
        more, cursor = steps(f"?kind=file&limit=2&cursor={cursor}")
        seen += more
    assert seen == [4, 3, 2, 1, 0]
    assert api.get(f"/api/artifacts/{iid}?cursor=x").status_code == 422
    assert api.get(f"/api/artifacts/{'0' * 32}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-3", b"0123"), ("bytes=4-", b"456789"), ("bytes=-2", b"89"), ("bytes=8-99", b"89")],
)
def test_a_part_of_a_file_can_be_asked_for(api: FlaskClient, iid: str, asked: str, expected: bytes) -> None:
    url = send(api, iid, "a", b"0123456789").get_json()["url"]
    with api.get(url, headers={"Range": asked}) as part:
        assert (part.status_code, part.data) == (206, expected)
        assert part.headers["Content-Range"].endswith("/10")
    with api.get(url, headers={"Range": "bytes=10-"}) as beyond:
        assert beyond.status_code == 416
    with api.get(url, headers={"Range": asked, "If-Range": '"other"'}) as whole:
        assert (whole.status_code, whole.data) == (200, b"0123456789")
    with api.get(url) as first, api.get(url, headers={"If-None-Match": first.headers["ETag"]}) as second:
        assert (second.status_code, second.data) == (304, b"")


def test_a_deleted_version_is_gone_and_its_number_too(api: FlaskClient, iid: str, settings: Settings) -> None:
    for body in (b"1", b"2"):
        send(api, iid, "a", body)
    path = f"/api/artifacts/{iid}/a"
    assert api.delete(f"{path}?version=2").status_code == 415
    assert api.delete(path, content_type=JSON).status_code == 422
    assert api.delete(f"{path}?version=2", content_type=JSON).status_code == 204
    assert api.delete(f"{path}?version=2", content_type=JSON).status_code == 404
    with api.get(path) as newest:
        assert newest.data == b"1"
    assert send(api, iid, "a", b"2").get_json()["version"] == 3


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        ("image", picture(4_096, 1), "image/png"), ("image", picture(9, kind="JPEG"), "image/jpeg"),
        ("graph", json.dumps(graph()).encode(), JSON), ("checkpoint", safetensors(), BYTES),
        ("model", safetensors(), BYTES),
    ],
)  # fmt: skip
def test_each_kind_is_taken_with_its_own_content_type(
    api: FlaskClient, iid: str, kind: str, body: bytes, content_type: str
) -> None:
    reply = send(api, iid, "a", body, f"?kind={kind}")
    assert (reply.status_code, reply.get_json()["content_type"]) == (201, content_type)


def test_a_run_has_no_more_than_the_settings_allow(api: FlaskClient, iid: str) -> None:
    mib = 1 << 20
    too_large = send(api, iid, "a", b"x" * (2 * mib + 1))
    assert too_large.status_code == 413
    assert "2 MiB, the limit set by WATTLE_MAX_ARTIFACT_MIB" in too_large.get_json()["error"]["message"]
    assert send(api, iid, "a", b"x" * 2 * mib).status_code == 201
    too_much = send(api, iid, "b", b"x" * (mib + 1))
    assert too_much.status_code == 413
    assert "WATTLE_MAX_RUN_ARTIFACTS_MIB" in too_much.get_json()["error"]["message"]
    assert send(api, iid, "b", b"x" * mib).status_code == 201
    assert send(api, iid, "c", b"x").status_code == 413
    assert api.delete(f"/api/artifacts/{iid}/b?version=1", content_type=JSON).status_code == 204
    assert send(api, iid, "c", b"x").status_code == 201
