"""Whatever is sent as an artifact, the answer is no 5xx, and what is refused leaves no record and no file."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import signal
import struct
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.artifact_keeping import OLD_S, ArtifactKeeper
from backend import create_app
from errors import StoreUnavailable
from redis_db import RedisDB
from settings import Settings
from store.artifacts import Artifacts
from tests.pictures import bomb, picture
from tests.weights import graph, safetensors

BYTES = "application/octet-stream"
JSON = "application/json"
TWO = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


class Place:
    """An app over a store with one run, and the folder of its artifacts."""

    def __init__(self, db: RedisDB, raw: redis.Redis, data_dir: Path) -> None:
        self.db, self.raw = db, raw
        self.settings = Settings(data_dir=data_dir, max_artifact_mib=40, max_run_artifacts_mib=80)
        self.api: FlaskClient = create_app(self.settings, db).test_client()
        self.iid: str = self.api.post("/api/experiments", json={"name": "mine"}).get_json()["iid"]
        self.folder = Path(self.settings.effective_artifact_url)

    def send(
        self, name: str, body: Any, query: str = "", kind: str | None = BYTES, **headers: str
    ) -> TestResponse:
        path = f"/api/artifacts/{self.iid}/{name}{query}"
        return self.api.post(path, data=body, content_type=kind, headers=headers)

    def stream(self, body: Any, size: int) -> TestResponse:
        """Send a body of a stated size that is read while it arrives."""
        given = {"wsgi.input": body, "CONTENT_LENGTH": str(size)}
        path = f"/api/artifacts/{self.iid}/a"
        return self.api.post(path, content_type=BYTES, environ_overrides=given)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def records(self) -> int:
        return len(self.api.get(f"/api/artifacts/{self.iid}").get_json()["artifacts"])


@pytest.fixture
def place(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Place:
    return Place(db, raw, tmp_path)


@pytest.fixture
def untouched(place: Place) -> Iterator[Place]:
    yield place
    assert (place.files(), place.records()) == ([], 0)
    assert place.raw.zcard("artifacts:unsettled") == 0


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "a/..",
        "../a",
        "a/../../b",
        "./a",
        "a/./b",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fa",
        "a/",
        "a%2f%2fb",
        "a%00b",
        "a%0ab",
        "%C3%A9",
        "a b",
        "a~b",
        "C:%5Ca",
        "a%5C..%5Cb",
        "x" * 251,
        "%ff",
        "a:1",
        "-/..",
        "%2fetc",
    ],
)
def test_a_name_that_is_none_is_refused_by_every_method(untouched: Place, name: str) -> None:
    path = f"/api/artifacts/{untouched.iid}/{name}"
    for reply in (
        untouched.send(name, b"1"),
        untouched.api.get(path),
        untouched.api.delete(f"{path}?version=1", content_type=JSON),
    ):
        assert reply.status_code in (404, 405, 422), (name, reply.status_code)
    assert not untouched.folder.exists() or not untouched.files()


def test_a_path_with_an_empty_part_or_the_id_of_no_run_is_not_found(untouched: Place) -> None:
    for path in (f"{untouched.iid}//a", "../a", f"{'0' * 32}/a", f"{untouched.iid.upper()}/a", "x/a"):
        reply = untouched.api.post(f"/api/artifacts/{path}", data=b"1", content_type=BYTES)
        assert reply.status_code in (404, 405), path


def test_names_that_folders_would_confuse_are_kept_apart(place: Place) -> None:
    names = ["a", "a/b", "a.b", "checkpoints/a", "-rf", "...", ".hidden", "a" * 250, "/".join("a" * 100)]
    for name in names:
        assert place.send(name, name.encode()).status_code == 201, name
    for name in names:
        with place.api.get(f"/api/artifacts/{place.iid}/{name}") as file:
            assert file.data == name.encode()
    assert all(path.is_relative_to(place.folder / place.iid / "artifacts") for path in place.files())


@pytest.mark.parametrize(
    "query",
    [
        "kind=pickle",
        "kind=",
        "step=-1",
        "step=x",
        "step=1.5",
        "step=9223372036854775808",
        "sha256=abc",
        f"sha256={'G' * 64}",
        "metrics=[]",
        "metrics={",
        "metrics=null",
        'metrics={"a":"1"}',
        'metrics={"a":NaN}',
        'metrics={"a":1e999}',
        'metrics={"a":true}',
        'metrics={"":1}',
        'metrics={"a":{"b":1}}',
        "metrics={" + '"a":1,' * 900 + '"b":1}',
        "metrics=" + "[" * 3_000,
        "version=1",
        "other=1",
    ],
)
def test_what_is_said_of_a_file_is_checked(untouched: Place, query: str) -> None:
    reply = untouched.send("a", b"1", f"?{query}")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "TEXT/PLAIN",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain,application/json",
        "nonsense",
        "a/b/c",
        "é/b",
    ],
)
def test_what_a_form_of_another_site_could_send_is_refused(untouched: Place, kind: str | None) -> None:
    assert untouched.send("a", b"1", kind=kind).status_code == 415


def test_a_page_of_another_site_stores_and_deletes_nothing(untouched: Place) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert untouched.send("a", b"1", **headers).status_code == 403
        path = f"/api/artifacts/{untouched.iid}/a?version=1"
        assert untouched.api.delete(path, content_type=JSON, headers=headers).status_code == 403


def test_a_packed_body_is_refused(untouched: Place) -> None:
    assert untouched.send("a", b"1", **{"Content-Encoding": "gzip"}).status_code == 415


def header(text: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.mark.parametrize("kind", ["checkpoint", "model"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x80\x04pickle",
        b"PK\x03\x04" + b"x" * 100,
        header(b"{}", length=2**63),
        header(b"{}", length=3),
        header(b"[]"),
        header(b"null"),
        header(b'{"a"'),
        header(b'{"a":1}'),
        header(b"{}", b"x"),
        header(b'{"a":' + b"[" * 5_000),
        safetensors(TWO),
        safetensors(TWO, b"1234567"),
        safetensors({"w": {**TWO["w"], "dtype": "PICKLE"}}, b"12345678"),
        safetensors({"w": {**TWO["w"], "shape": [-2]}}, b"12345678"),
        safetensors({"w": {**TWO["w"], "shape": [2**53, 2**53]}}, b"12345678"),
        safetensors({"w": {**TWO["w"], "data_offsets": [8, 16]}}),
        safetensors({"w": TWO["w"], "v": TWO["w"]}, b"12345678"),
        safetensors({**TWO, "__metadata__": {"a": 1}}, b"12345678"),
        safetensors({**TWO, "v": {"a": "b"}}, b"12345678"),
        safetensors({"__metadata__": TWO["w"]}, b"12345678"),
    ],
)
def test_weights_are_safetensors_or_nothing(untouched: Place, kind: str, body: bytes) -> None:
    reply = untouched.send("a", body, f"?kind={kind}")
    assert reply.status_code == 422
    assert "no safetensors file" in reply.get_json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"GIF89a",
        b"<svg/>",
        b"\x89PNG\r\n\x1a\n",
        picture(16)[:-20],
        picture(4_097, 1),
        picture(1, 4_097),
        bomb(4_096, 4_096)[:-40],
        bomb(60_000, 60_000),
        picture(9, kind="JPEG")[:300],
        picture(9, kind="BMP"),
        picture(9, kind="JPEG") + b"\xff\xda" * 101,
    ],
)
def test_an_image_is_a_whole_png_or_jpeg_of_bounded_size(untouched: Place, body: bytes) -> None:
    assert untouched.send("a", body, "?kind=image").status_code == 422


def test_an_image_or_a_graph_of_too_many_bytes_is_refused_unread(untouched: Place) -> None:
    for kind, mib in (("image", 32), ("graph", 4)):
        reply = untouched.send("a", picture(9) + b"\0" * (mib << 20), f"?kind={kind}")
        assert (reply.status_code, f"{mib} MiB" in reply.get_json()["error"]["message"]) == (422, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "wattle-graph/2"},
        {"framework": "jax"},
        {"nodes": {}},
        {"edges": [["a", "c"]]},
        {"edges": [["a"]]},
        {"edges": [["a", "b", "a"]]},
        {"parameters": -1},
        {"parameters": "1"},
        {"trainable": True},
        {"other": 1},
        {"nodes": [graph()["nodes"][0]] * 2},
        {"nodes": [{"id": "a"}]},
        {"nodes": [{**graph()["nodes"][0], "output_shapes": [["x"]]}], "edges": []},
    ],
)
def test_a_graph_has_its_form(untouched: Place, changes: dict[str, Any]) -> None:
    assert untouched.send("a", json.dumps(graph(**changes)).encode(), "?kind=graph").status_code == 422
    assert untouched.send("a", b"not json", "?kind=graph").status_code == 422


def test_other_bytes_than_those_that_were_meant_are_refused(untouched: Place) -> None:
    reply = untouched.send("a", b"2", f"?sha256={hashlib.sha256(b'1').hexdigest()}")
    assert (reply.status_code, reply.get_json()["error"]["details"][0]["field"]) == (422, "sha256")


def test_a_body_of_any_size_takes_bounded_memory(place: Place) -> None:
    # What is held at once is a few pieces of 1 MiB.
    class Zeros(io.RawIOBase):
        left = 40 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = min(len(buffer), self.left)
            buffer[:size] = bytes(size)
            self.left -= size
            return size

    tracemalloc.start()
    try:
        reply = place.stream(Zeros(), 40 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (reply.status_code, reply.get_json()["size_bytes"]) == (201, 40 << 20)
    assert peak < 12 << 20


def test_an_upload_that_is_cut_off_half_way_leaves_nothing(untouched: Place) -> None:
    reply = untouched.stream(io.BytesIO(b"x" * 10_000_000), 10_000_001)
    assert reply.status_code == 400


def test_a_disk_that_is_full_is_a_503_and_leaves_nothing(untouched: Place) -> None:
    previous_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        reply = untouched.send("a", b"x" * 5_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous_handler)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (503, "place_unavailable")
    assert reply.headers["Retry-After"]
    assert "File too large" in reply.get_json()["error"]["message"]


def test_a_place_that_cannot_be_used_is_a_503(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "experiments").write_text("a file where a folder should be")
    place = Place(db, raw, tmp_path)
    assert place.send("a", b"1").status_code == 503
    assert place.records() == 0


def test_a_file_that_somebody_deleted_is_a_404_that_says_so(place: Place) -> None:
    url = place.send("a", b"1").get_json()["url"]
    place.files()[0].unlink()
    reply = place.api.get(url)
    assert (reply.status_code, "gone from its place" in reply.get_json()["error"]["message"]) == (404, True)


class Gate(io.RawIOBase):
    """A body that waits in its middle."""

    def __init__(self, act: Any) -> None:
        self._parts = [b"x" * (1 << 20), b"y"]
        self._act = act

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if len(self._parts) == 1:
            self._act()
        part = self._parts.pop(0) if self._parts else b""
        buffer[: len(part)] = part
        return len(part)


def test_a_run_that_is_deleted_during_an_upload_leaves_nothing(place: Place) -> None:
    place.api.post(f"/api/experiments/{place.iid}/status", json={"status": "done"})
    codes: list[int] = []

    def delete() -> None:
        api = place.api.application.test_client()
        codes.append(api.delete(f"/api/runs/{place.iid}?confirm={place.iid}", content_type=JSON).status_code)

    reply = place.stream(Gate(delete), (1 << 20) + 1)
    assert (codes, reply.status_code) == ([200], 404)
    assert place.files() == []
    assert place.raw.keys("run:*") == []


def test_deleting_a_run_deletes_its_artifacts_and_says_so_before(place: Place) -> None:
    place.send("a", b"123")
    place.send("b/c", safetensors(), "?kind=checkpoint")
    place.api.post(f"/api/experiments/{place.iid}/status", json={"status": "done"})
    told = place.api.get(f"/api/runs/{place.iid}/deletion").get_json()
    assert told["artifacts"] == 2
    assert told["artifact_bytes"] == 3 + len(safetensors())
    path = f"/api/runs/{place.iid}?confirm={place.iid}"
    assert place.api.delete(path, content_type=JSON).get_json() == told
    assert place.files() == []
    assert place.send("a", b"1").status_code == 404
    ArtifactKeeper(place.db, place.settings.effective_artifact_url).sweep()
    assert place.raw.zcard("artifacts:unsettled") == 0


def test_a_file_whose_record_was_never_made_is_swept_once_it_is_old(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.send("kept", b"1")

    def die(*_: object, **__: object) -> None:
        raise StoreUnavailable("Redis is away.")

    with monkeypatch.context() as broken:
        broken.setattr(Artifacts, "record", die)
        assert place.send("a", b"22").status_code == 503
    assert sorted(path.stat().st_size for path in place.files()) == [1, 2]
    keeper = ArtifactKeeper(place.db, place.settings.effective_artifact_url)
    keeper.sweep()
    assert len(place.files()) == 2
    (file,) = place.raw.zrange("artifacts:unsettled", 0, -1)
    place.raw.zincrby("artifacts:unsettled", -OLD_S - 1, str(file))
    keeper.sweep()
    assert [path.read_bytes() for path in place.files()] == [b"1"]
    assert place.raw.zcard("artifacts:unsettled") == 0


def test_an_upload_whose_record_was_made_but_not_answered_is_one_version_with_its_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Artifacts.record

    def lose(own: Artifacts, *given: Any, **named: Any) -> Any:
        record(own, *given, **named)
        raise StoreUnavailable("The reply was lost.")

    with monkeypatch.context() as broken:
        broken.setattr(Artifacts, "record", lose)
        assert place.send("a", b"22").status_code == 503
    again = place.send("a", b"22")
    assert (again.status_code, again.get_json()["version"]) == (200, 1)
    assert [path.read_bytes() for path in place.files()] == [b"22"]
    assert place.raw.zcard("artifacts:unsettled") == 0


def test_a_file_that_was_taken_for_a_leftover_gets_no_record(place: Place) -> None:
    def sweep() -> None:
        (file,) = place.raw.zrange("artifacts:unsettled", 0, -1)
        place.raw.zadd("artifacts:unsettled", {str(file): 1})
        ArtifactKeeper(place.db, place.settings.effective_artifact_url).sweep()

    reply = place.stream(Gate(sweep), (1 << 20) + 1)
    assert reply.status_code in (409, 503)
    assert (place.files(), place.records()) == ([], 0)


def test_the_same_file_from_many_at_once_is_one_version(place: Place) -> None:
    replies: list[tuple[int, int]] = []

    def send() -> None:
        api = place.api.application.test_client()
        reply = api.post(f"/api/artifacts/{place.iid}/a", data=b"same", content_type=BYTES)
        replies.append((reply.status_code, reply.get_json()["version"]))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [(200, 1)] * 7 + [(201, 1)]
    assert len(place.files()) == 1
