"""Files that come and go slowly leave threads of the server for others."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from werkzeug.test import TestResponse

from api.artifacts import downloads, uploads
from redis_db import RedisDB
from tests.artifact_place import Place


@pytest.fixture
def place(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Place:
    return Place(db, raw, tmp_path)


def assert_busy(reply: TestResponse) -> None:
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "2")
    assert reply.get_json()["error"]["code"] == "place_unavailable"


def test_more_than_16_uploads_at_once_are_put_off(place: Place) -> None:
    with ExitStack() as others:
        for _ in range(uploads.MOST_AT_ONCE):
            others.enter_context(uploads.upload_slot())
        assert_busy(place.send("a", b"1"))
        assert (place.files(), place.raw.zcard("artifacts:unsettled")) == ([], 0)
    for number in range(2 * uploads.MOST_AT_ONCE):
        assert place.send("a", b"%d" % number).status_code == 201
        assert place.send("a", b"", "?kind=image").status_code == 422


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=1-2"}])
def test_more_than_24_downloads_at_once_are_put_off(place: Place, asked: dict[str, str]) -> None:
    url = place.send("a", b"content").get_json()["url"]
    with ExitStack() as others:
        for _ in range(downloads.MOST_AT_ONCE):
            assert others.enter_context(place.api.get(url, headers=asked)).status_code in (200, 206)
        assert_busy(place.api.get(url))
    with place.api.get(url) as reply:
        assert reply.data == b"content"


def test_a_place_for_a_download_comes_back_whatever_becomes_of_it(place: Place) -> None:
    made = place.send("a", b"content").get_json()
    wanted = [({}, 200), ({"Range": "bytes=90-"}, 416), ({"If-None-Match": f'"{made["sha256"]}"'}, 304)]
    for _ in range(downloads.MOST_AT_ONCE + 1):
        for headers, status in wanted:
            with place.api.get(made["url"], headers=headers) as reply:
                assert reply.status_code == status
        with place.api.head(made["url"]) as reply:
            assert reply.status_code == 200
    for path in place.files():
        path.unlink()
    for _ in range(downloads.MOST_AT_ONCE + 1):
        assert place.api.get(made["url"]).status_code == 404
