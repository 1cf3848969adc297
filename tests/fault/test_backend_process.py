"""The backend as a process: it starts alone, and stops at once and cleanly."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from schema import HealthReply, Status
from tests.ports import own_port
from tests.programs import wait_until

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "python backend.py": [sys.executable, str(ROOT / "backend.py")],
    "gunicorn": [
        sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py"), "backend:create_app()",
    ],
}  # fmt: skip
# Of the 30 s that gunicorn grants requests by default; an ordinary stop takes 2 s of an idle machine.
STOP_LIMIT_S = 20


class Backend:
    """A backend on a free port, started from a folder that is not the repository."""

    def __init__(self, command: list[str], redis_url: str, folder: Path) -> None:
        self.port = own_port()
        ours = {"WATTLE_REDIS_URL": redis_url, "WATTLE_PORT": str(self.port), "WATTLE_LEASE_S": "0.5"}
        ours["WATTLE_REQUEST_TIMEOUT_S"] = "1"
        self.process = subprocess.Popen(
            command, cwd=folder, env=os.environ | ours, stderr=subprocess.PIPE, text=True
        )

    def wait_until_healthy(self) -> HealthReply:
        """Return its health once it answers, within a minute: a busy machine takes 20 s to start it."""
        deadline_s = time.monotonic() + 60
        with Client(f"http://127.0.0.1:{self.port}") as client:
            while True:
                try:
                    return client.get_health()
                except ApiUnavailable:
                    assert self.process.poll() is None, self.process.communicate()[1]
                    assert time.monotonic() < deadline_s
                    time.sleep(0.05)

    def stop(self, number: signal.Signals) -> tuple[int, float, str]:
        """Send the signal; return exit code, seconds until the end, and what was logged."""
        started_s = time.monotonic()
        self.process.send_signal(number)
        _, text = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - started_s, text


@pytest.fixture
def backend(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Backend]:
    started = Backend(COMMANDS[getattr(request, "param", "python backend.py")], redis_url, tmp_path)
    yield started
    if started.process.poll() is None:
        for child in psutil.Process(started.process.pid).children():
            child.kill()
        started.process.kill()
        started.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("backend", list(COMMANDS), indirect=True)
def test_it_stops_at_once_with_idle_and_silent_connections_open(
    backend: Backend, number: signal.Signals
) -> None:
    assert backend.wait_until_healthy().status == "ok"
    idle = http.client.HTTPConnection("127.0.0.1", backend.port)
    idle.request("GET", "/healthz")
    idle.getresponse().read()
    silent = socket.create_connection(("127.0.0.1", backend.port))

    code, took_s, text = backend.stop(number)

    silent.close()
    idle.close()
    assert code == 0, text
    assert took_s < STOP_LIMIT_S, text
    assert "Traceback" not in text


def test_a_chunked_body_keeps_to_the_limit(backend: Backend) -> None:
    backend.wait_until_healthy()
    connection = http.client.HTTPConnection("127.0.0.1", backend.port)
    chunk = b" " * 100_000
    headers = {"Content-Type": "application/json"}
    connection.request(
        "POST", "/train", body=(chunk for _ in range(20)), headers=headers, encode_chunked=True
    )
    status = connection.getresponse().status
    connection.close()
    assert status == 413


HEADERS = (
    b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
)


@pytest.mark.parametrize(
    ("sent", "is_answered"), [(HEADERS + b"{}", True), (HEADERS[:30], False)], ids=["body", "headers"]
)
def test_clients_that_stop_in_the_middle_of_a_request_do_not_hold_the_api_up(
    backend: Backend, sent: bytes, is_answered: bool
) -> None:
    backend.wait_until_healthy()
    stuck = [socket.create_connection(("127.0.0.1", backend.port), timeout=20) for _ in range(64)]
    for connection in stuck:
        connection.sendall(sent)

    assert backend.wait_until_healthy().status == "ok"
    for connection in stuck:
        with connection, connection.makefile("rb") as answer:
            text = answer.read()  # to the end: the connection is closed
        assert (b" 408 " in text, b"too_slow" in text) == (is_answered, is_answered)


def test_the_run_of_a_dead_worker_waits_again_though_no_worker_is_left(backend: Backend, db: RedisDB) -> None:
    run = db.queue.submit({"num_epochs": 1})
    assert db.queue.claim(["default"], worker_id="dead", lease_s=0.1)
    backend.wait_until_healthy()
    wait_until(lambda: db.runs.get(run.run_id).status is Status.WAITING)
    assert db.runs.get(run.run_id).lease_losses == 1


def test_a_setting_that_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    for name, value in {"WATTLE_PORT": "many", "WATTLE_REDIS_URL": "nonsense"}.items():
        failed = subprocess.run(
            COMMANDS["python backend.py"],
            cwd=tmp_path, env=os.environ | {name: value}, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert failed.returncode == 1
        assert name in failed.stderr
        assert "Traceback" not in failed.stderr
