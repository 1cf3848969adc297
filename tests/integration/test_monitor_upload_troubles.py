"""What the disk, the server and a proxy do to files that wait: none is given up that could still be sent."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.monitor_server import MonitorServer, Recorded, Refusal
from training_monitor import models, uploader
from training_monitor.connection import Connection
from training_monitor.errors import MonitorError
from training_monitor.histogram_log import HistogramLog
from training_monitor.upload_box import Registration, Upload, UploadBox
from training_monitor.uploader import Uploader

RUN = "a" * 32
TRIES = 12
Sender = tuple[UploadBox, Uploader]


@pytest.fixture
def connection(server: MonitorServer) -> Iterator[Connection]:
    server.runs[RUN] = Recorded({"name": "files", "params": {}})
    connection = Connection(server.url)
    yield connection
    connection.close()


class Clock:
    """The time of a test, in seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def begin(connection: Connection, tmp_path: Path, clock: Clock) -> Callable[[], Sender]:
    def start() -> Sender:
        box = UploadBox(tmp_path, most_bytes=1 << 30)
        histograms = HistogramLog(tmp_path, most_bytes=1 << 30)
        return box, Uploader("s", box, histograms, connection, run=lambda: RUN, clock=clock)

    return start


def put(box: UploadBox, name: str, step: int = 1) -> int:
    upload = Upload(name, "checkpoint", "application/octet-stream", step)
    return box.put(upload, 5, lambda stream: stream.write(b"12345"))


def send(sender: Uploader, tries: int = TRIES) -> None:
    for _ in range(tries):
        with suppress(MonitorError, OSError):
            while sender.send_next():
                pass


def names(server: MonitorServer) -> list[str]:
    return [file.name for file in server.only_run.files]


def test_files_and_histograms_wait_where_only_the_route_is_missing(
    begin: Callable[[], Sender], server: MonitorServer
) -> None:
    routes = ("/api/artifacts", "/api/histograms")
    server.refuse = lambda path, _: (
        Refusal(404, "There is no such route.") if path.startswith(routes) else None
    )
    box, sender = begin()
    put(box, "kept")
    send(sender)
    assert sender.refusal is None
    assert not sender.is_done
    histogram = {"name": "h", "step": 0, "time": 1.0, "edges": [0, 1], "counts": [1], "nonfinite": 0}
    sender._histograms.add(histogram)
    send(sender)
    server.refuse = lambda *_: None
    send(sender)
    assert sender.is_done
    assert names(server) == ["kept"]
    assert [each["name"] for each in server.only_run.histograms] == ["h"]


@contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_files_wait_while_no_file_can_be_opened(begin: Callable[[], Sender], server: MonitorServer) -> None:
    box, sender = begin()
    for name in ("one", "two"):
        put(box, name)
    with no_file_can_be_opened():
        send(sender)
    send(sender)
    assert names(server) == ["one", "two"]


def test_on_a_full_disk_what_is_sent_is_deleted_and_can_be_registered(
    begin: Callable[[], Sender], server: MonitorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, sender = begin()
    box.put_registration(Registration("digits", "c", None, put(box, "c")))

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(UploadBox, "_write", fail)
    send(sender)
    assert names(server) == ["c"]
    assert list((tmp_path / "uploads").iterdir()) == []
    assert [model["version"] for model in server.models] == [1]


def test_a_registration_waits_with_its_file(begin: Callable[[], Sender], server: MonitorServer) -> None:
    server.refuse = lambda path, _: Refusal(500, "Oh.") if "artifacts" in path else None
    box, sender = begin()
    box.put_registration(Registration("digits", "c", None, put(box, "c")))
    send(sender)
    assert not sender.is_done
    server.refuse = lambda *_: None
    _, later = begin()
    send(later)
    assert later.is_done
    assert [(model["name"], model["version"]) for model in server.models] == [("digits", 1)]


def test_a_file_that_the_server_fails_over_lets_the_others_by(
    begin: Callable[[], Sender], server: MonitorServer
) -> None:
    server.refuse = lambda path, _: Refusal(500, "Oh.") if "bad" in path else None
    box, sender = begin()
    for name in ("bad", "one", "two"):
        put(box, name)
    send(sender)
    assert names(server) == ["one", "two"]
    assert not sender.is_done


@pytest.mark.parametrize("status", [413, 502, 504])
def test_a_file_that_a_proxy_fails_over_holds_up_its_own_versions_alone(
    begin: Callable[[], Sender], server: MonitorServer, clock: Clock, status: int
) -> None:
    failed: list[str] = []

    def refuse(path: str, _: Any) -> Refusal | None:
        if "slow" not in path:
            return None
        failed.append(path)
        return Refusal(status, "<html>nginx</html>", is_ours=False)

    server.refuse = refuse
    box, sender = begin()
    first = put(box, "slow")
    box.put_registration(Registration("digits", "slow", None, first))
    for name in ("one", "slow", "two"):
        put(box, name, step=2)
    box.put_registration(Registration("digits", "one", None, first + 2))
    send(sender)
    assert names(server) == ["one", "two"]
    assert (len(failed), server.models) == (1, [])
    clock.now_s = 3
    send(sender)
    assert len(failed) == 2
    server.refuse = lambda *_: None
    send(sender)
    assert names(server) == ["one", "two"]
    clock.now_s = 10
    send(sender)
    assert sender.is_done
    assert names(server) == ["one", "two", "slow", "slow"]
    assert [file.query["step"] for file in server.only_run.files] == ["2", "2", "1", "2"]
    assert [(model["artifact"], model["version"]) for model in server.models] == [("slow", 1), ("one", 1)]


def test_where_a_proxy_fails_over_every_file_each_waits_for_the_next_try(
    begin: Callable[[], Sender], server: MonitorServer
) -> None:
    failed: list[str] = []

    def refuse(path: str, _: Any) -> Refusal | None:
        if "artifacts" not in path:
            return None
        failed.append(path)
        return Refusal(504, "late", is_ours=False)

    server.refuse = refuse
    box, sender = begin()
    for number in range(20):
        put(box, f"file{number}")
    send(sender, 1)
    assert len(failed) == 3
    send(sender, 1)
    assert len(failed) == 4


def test_a_server_that_is_busy_gets_the_files_in_their_order(
    begin: Callable[[], Sender], server: MonitorServer
) -> None:
    server.refuse = lambda path, _: Refusal(503, "Busy.") if "first" in path else None
    box, sender = begin()
    for name in ("first", "second"):
        put(box, name)
    send(sender)
    assert names(server) == []
    server.refuse = lambda *_: None
    send(sender)
    assert names(server) == ["first", "second"]


def test_a_file_is_read_for_its_hash_once(
    begin: Callable[[], Sender], server: MonitorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    real = uploader._hash

    def count(path: Path, give_up: Callable[[], bool]) -> str:
        hashed.append(path)
        return real(path, give_up)

    monkeypatch.setattr(uploader, "_hash", count)
    server.refuse = lambda *_: Refusal(503, "Busy.")
    box, sender = begin()
    put(box, "one")
    send(sender, 5)
    server.refuse = lambda *_: None
    send(sender)
    assert names(server) == ["one"]
    assert len(hashed) == 1


class Listing:
    """The route of models, with more versions than one answer has."""

    def __init__(self, in_production: int) -> None:
        self._all = [
            {
                "name": "m",
                "version": version,
                "stage": "production" if version == in_production else "candidate",
            }
            for version in range(520, 0, -1)
        ]

    def get(self, _path: str, params: dict[str, str]) -> Any:
        return {"models": [m for m in self._all if all(str(m[key]) == params[key] for key in params)][:500]}


@pytest.mark.parametrize(
    ("wanted", "in_production", "version"), [("m", 3, 3), ("m:3", 9, 3), ("m", 0, 520), ("m:007", 9, 7)]
)
def test_of_many_versions_the_wanted_one_is_found(wanted: str, in_production: int, version: int) -> None:
    assert models._find(Listing(in_production), wanted)["version"] == version  # type: ignore[arg-type]
