"""Whatever is sent as an artifact, the answer is no 5xx, and what is refused leaves no record and no file."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from redis_db import RedisDB
from tests.artifact_place import BYTES, Place
from tests.pictures import bomb, picture
from tests.weights import graph, safetensors

JSON = "application/json"
TWO = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


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


MANY = 60_000


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("model", header(b"{" + b",".join(b'"%06d":1' % place for place in range(MANY)) + b"}")),
        ("model", header(b'{"w":{"shape":[' + b"1.5," * MANY + b'1],"dtype":1,"data_offsets":[]}}')),
        ("graph", json.dumps(graph(nodes=[1] * MANY)).encode()),
        ("graph", json.dumps(graph(edges=[{}] * MANY)).encode()),
        ("graph", json.dumps({f"{place:x}": 1 for place in range(MANY)}).encode()),
        ("graph", json.dumps(graph(nodes=[{f"{place:x}": 1 for place in range(MANY)}])).encode()),
        (
            "graph",
            json.dumps(graph(nodes=[{**graph()["nodes"][0], "output_shapes": [[-1] * MANY]}])).encode(),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value[:20]),
)
def test_what_is_wrong_all_over_takes_little_memory(untouched: Place, kind: str, body: bytes) -> None:
    tracemalloc.start()
    try:
        reply = untouched.send("a", body, f"?kind={kind}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status_code == 422
    assert peak < 15 << 20


@pytest.mark.parametrize("kind", ["model", "graph"])
def test_lists_beyond_all_limits_are_refused_before_they_are_parsed(untouched: Place, kind: str) -> None:
    text = b'{"a":[' + b"[]," * 1_000_000 + b"[]]}"
    reply = untouched.send("a", header(text) if kind == "model" else text, f"?kind={kind}")
    assert (reply.status_code, "has more" in reply.get_json()["error"]["message"]) == (422, True)


def test_other_bytes_than_those_that_were_meant_are_refused(untouched: Place) -> None:
    reply = untouched.send("a", b"2", f"?sha256={hashlib.sha256(b'1').hexdigest()}")
    assert (reply.status_code, reply.get_json()["error"]["details"][0]["field"]) == (422, "sha256")
