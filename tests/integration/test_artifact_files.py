"""What becomes of the files of artifacts when uploads are cut off, disks are full, and runs are deleted."""

from __future__ import annotations

import io
import resource
import signal
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from api.artifacts.keeping import OLD_S, ArtifactKeeper
from errors import Conflict, StoreUnavailable
from redis_db import NewFile, RedisDB
from schema import ArtifactQuery, ExperimentRequest
from store.artifacts import Artifacts
from tests.artifact_place import BYTES, Place
from tests.weights import safetensors

JSON = "application/json"


@pytest.fixture
def place(db: RedisDB, raw: redis.Redis, tmp_path: Path) -> Place:
    return Place(db, raw, tmp_path)


@pytest.fixture
def untouched(place: Place) -> Iterator[Place]:
    yield place
    assert (place.files(), place.records()) == ([], 0)
    assert place.raw.zcard("artifacts:unsettled") == 0


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
    ArtifactKeeper(place.db, place.settings).sweep()
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
    keeper = ArtifactKeeper(place.db, place.settings)
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
        ArtifactKeeper(place.db, place.settings).sweep()

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


def test_a_record_that_is_asked_for_again_because_its_answer_was_lost_keeps_its_file(db: RedisDB) -> None:
    run_id = db.external.begin(ExperimentRequest(name="a")).run.run_id
    new = NewFile("a/artifacts/b/1", 3, "0" * 64, BYTES)
    db.artifacts.begin(run_id, new.file, 3, most_bytes=10)
    first = db.artifacts.record(run_id, "b", ArtifactQuery(), new, most_bytes=10)
    assert db.artifacts.record(run_id, "b", ArtifactQuery(), new, most_bytes=10) == first
    assert first.is_new
    other = NewFile("a/artifacts/b/2", 3, "0" * 64, BYTES)
    db.artifacts.begin(run_id, other.file, 3, most_bytes=10)
    assert not db.artifacts.record(run_id, "b", ArtifactQuery(), other, most_bytes=10).is_new


def test_a_file_that_is_to_be_deleted_gets_no_record(db: RedisDB, raw: redis.Redis) -> None:
    run_id = db.external.begin(ExperimentRequest(name="a")).run.run_id
    new = NewFile("a/artifacts/b/1", 3, "0" * 64, BYTES)
    db.artifacts.begin(run_id, new.file, 3, most_bytes=10)
    assert db.artifacts.condemn(older_than_s=3_600) == []
    assert db.artifacts.condemn(older_than_s=0) == [new.file]
    with pytest.raises(Conflict, match="leftover"):
        db.artifacts.record(run_id, "b", ArtifactQuery(), new, most_bytes=10)
    assert raw.zscore("artifacts:unsettled", new.file) == pytest.approx(-time.time() - 600, abs=60)


def test_files_that_cannot_be_deleted_keep_no_other_waiting(db: RedisDB, raw: redis.Redis) -> None:
    run_id = db.external.begin(ExperimentRequest(name="a")).run.run_id
    raw.zadd("artifacts:unsettled", {f"stuck/{number}": -1 for number in range(3)})
    tried = [db.artifacts.condemn(older_than_s=0, limit=3)]
    raw.zadd("artifacts:unsettled", {"gone": -1})
    db.artifacts.begin(run_id, "old", 1, most_bytes=10)
    tried.append(db.artifacts.condemn(older_than_s=0, limit=3))
    tried.append(db.artifacts.condemn(older_than_s=0, limit=3))
    assert [sorted(files) for files in tried] == [["stuck/0", "stuck/1", "stuck/2"], ["gone", "old"], []]
    # Once it is time they are tried again, those first that wait longest.
    raw.zadd("artifacts:unsettled", {"stuck/1": -2, "stuck/2": -3})
    assert db.artifacts.condemn(older_than_s=0, limit=1) == ["stuck/1"]
    assert db.artifacts.condemn(older_than_s=0, limit=2) == ["stuck/2"]


def test_an_empty_file_is_one_too_and_can_be_deleted(place: Place) -> None:
    url = place.send("a", b"").get_json()["url"]
    with place.api.get(url) as file:
        assert (file.status_code, file.data) == (200, b"")
    assert place.api.delete(url, content_type=JSON).status_code == 204
    assert (place.files(), place.records()) == ([], 0)
