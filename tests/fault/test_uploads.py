"""Files on their way to a real backend: slow ones, ones that are cut off, and a backend that is killed."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from api.artifacts.downloads import MOST_AT_ONCE as MOST_DOWNLOADS
from api.artifacts.keeping import OLD_S, ArtifactKeeper
from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from schema import ExperimentRequest
from settings import Settings
from tests.files import list_files
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow

LIMIT_S = 1.0


class Backend:
    """A backend that gives a request a second."""

    def __init__(self, store: RedisDB, programs: Programs, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.place = str(folder / "data" / "experiments")
        self.store = store
        self.process = programs.start("backend.py", port=self.port, request_timeout_s=LIMIT_S)
        self.run_id = store.external.begin(ExperimentRequest(name="mine")).run.run_id
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            with Client(f"http://127.0.0.1:{self.port}") as client:
                client.get_health()
        except ApiUnavailable:
            return False
        return True

    def begin(self, *headers: str) -> socket.socket:
        """Open an upload."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        lines = [
            f"POST /api/artifacts/{self.run_id}/a HTTP/1.1",
            "Host: localhost",
            "Content-Type: a/b",
            *headers,
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def files(self) -> list[Path]:
        return list_files(self.place)

    def names(self) -> list[str]:
        return [found.name for found in self.store.artifacts.list(self.run_id, limit=10).artifacts]


@pytest.fixture
def backend(store: RedisDB, programs: Programs, tmp_path: Path) -> Backend:
    return Backend(store, programs, tmp_path)


def answer_of(connection: socket.socket) -> str:
    """Return all that is answered until the other side closes."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received.decode()


def test_an_upload_that_takes_longer_than_a_request_may_is_kept_as_long_as_bytes_come(
    backend: Backend,
) -> None:
    pieces = 5
    with backend.begin(f"Content-Length: {pieces << 20}", "Connection: close") as connection:
        began_s = time.monotonic()
        for _ in range(pieces):
            connection.sendall(b"x" * (1 << 20))
            time.sleep(0.4 * LIMIT_S)
        assert time.monotonic() - began_s > 1.5 * LIMIT_S
        assert answer_of(connection).startswith("HTTP/1.1 201")
    assert [path.stat().st_size for path in backend.files()] == [pieces << 20]


def test_an_upload_that_stops_is_cut_off_and_leaves_nothing(backend: Backend) -> None:
    with backend.begin("Content-Length: 9000000") as connection:
        connection.sendall(b"x" * 3_000_000)
        text = answer_of(connection)
    assert text.startswith("HTTP/1.1 408")
    assert (backend.files(), backend.names()) == ([], [])


@pytest.mark.parametrize("headers", ["Content-Length: 9000000", "Transfer-Encoding: chunked"])
def test_a_sender_that_goes_away_leaves_nothing(backend: Backend, headers: str) -> None:
    with backend.begin(headers) as connection:
        body = b"x" * 3_000_000
        connection.sendall(b"%x\r\n%b\r\n" % (len(body), body) if "chunked" in headers else body)
        wait_until(backend.files)
    wait_until(lambda: not backend.files())
    assert backend.names() == []


def test_a_body_in_chunks_is_taken_whole(backend: Backend) -> None:
    with backend.begin("Transfer-Encoding: chunked", "Connection: close") as connection:
        connection.sendall(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        text = answer_of(connection)
    assert text.startswith("HTTP/1.1 201")
    assert json.loads(text.partition("\r\n\r\n")[2])["size_bytes"] == 5


@pytest.mark.parametrize("tail", [b"zz\r\n", b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\r\n0\r\n"])
@pytest.mark.parametrize("kind", ["a/b", "application/json"])
def test_a_body_in_broken_chunks_is_the_senders_fault_and_leaves_nothing(
    backend: Backend, kind: str, tail: bytes
) -> None:
    path = f"/api/artifacts/{backend.run_id}/a" if kind == "a/b" else "/api/experiments"
    with socket.create_connection(("127.0.0.1", backend.port), timeout=20) as connection:
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}"]
        connection.sendall("\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode() + tail)
        connection.shutdown(socket.SHUT_WR)
        assert answer_of(connection).startswith("HTTP/1.1 400")
    assert (backend.files(), backend.names()) == ([], [])


def test_slow_readers_leave_threads_for_others(backend: Backend) -> None:
    path = f"/api/artifacts/{backend.run_id}/a"
    url = f"http://127.0.0.1:{backend.port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client, ExitStack() as readers:
        client.post(path, content=b"x" * (32 << 20), headers={"Content-Type": "a/b"})
        answers = []
        for _ in range(70):
            reader = readers.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            reader.connect(("127.0.0.1", backend.port))
            reader.settimeout(20)
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answers.append(reader.recv(12)[-3:])
        assert answers.count(b"200") >= MOST_DOWNLOADS
        assert answers.count(b"503") >= 1
        assert client.get("/healthz").status_code == 200
    wait_until(lambda: httpx.get(f"{url}{path}", headers={"Range": "bytes=0-1"}).status_code == 206)


def test_what_a_killed_backend_left_half_written_is_swept(backend: Backend) -> None:
    with backend.begin("Content-Length: 9000000") as connection:
        connection.sendall(b"x" * 3_000_000)
        wait_until(lambda: any(path.stat().st_size for path in backend.files()))
        for worker in psutil.Process(backend.process.pid).children():
            worker.kill()
        backend.process.kill()
        backend.process.wait()
    assert len(backend.files()) == 1
    assert backend.names() == []
    backend.store.artifacts._connection.call("ZINCRBY", "artifacts:unsettled", -OLD_S - 1, unsettled(backend))
    ArtifactKeeper(backend.store, Settings(artifact_url=backend.place)).sweep()
    assert backend.files() == []


def unsettled(backend: Backend) -> str:
    (file,) = backend.store.artifacts._connection.call("ZRANGE", "artifacts:unsettled", 0, -1)
    return str(file)
