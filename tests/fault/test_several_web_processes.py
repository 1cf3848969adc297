"""/metrics of a server with two web processes, which die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from redis_db import RedisDB
from tests.ports import own_port
from tests.programs import wait_until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


class Server:
    """gunicorn with two web processes, whose temporary files are in a folder of the test."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self.folder = folder / "temp"
        self.folder.mkdir()
        self.url = f"http://127.0.0.1:{(port := own_port())}"
        ours = {"WATTLE_REDIS_URL": redis_url, "WATTLE_PORT": str(port), "TMPDIR": str(self.folder)}
        ours["WATTLE_LOG_FORMAT"] = "json"
        self.log = folder / "stderr.jsonl"
        command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [*command, "--workers", "2", "backend:create_app()"],
                cwd=folder, env=os.environ | ours, stderr=stderr,
            )  # fmt: skip

    def get(self, path: str) -> httpx.Response | None:
        """Ask on a connection of its own, which any of the two may take."""
        try:
            return httpx.get(f"{self.url}{path}", trust_env=False, timeout=30)
        except httpx.TransportError:
            return None

    def is_healthy(self) -> bool:
        answer = self.get("/healthz")
        return answer is not None and answer.is_success

    def read(self, name: str) -> float:
        """Add up the samples of one name; -1 where there is no answer."""
        if (answer := self.get("/metrics")) is None:
            return -1
        families = text_string_to_metric_families(answer.text)
        return sum(item.value for family in families for item in family.samples if item.name == name)

    def kill_web_processes(self) -> None:
        for child in psutil.Process(self.process.pid).children():
            child.kill()


@pytest.fixture
def server(redis_url: str, tmp_path: Path) -> Iterator[Server]:
    started = Server(redis_url, tmp_path)
    yield started
    if started.process.poll() is None:
        started.kill_web_processes()
        started.process.kill()
        started.process.wait()


def test_web_processes_count_as_one_and_outlive_their_deaths(server: Server, db: RedisDB) -> None:
    db.queue.submit({"num_epochs": 1})
    wait_until(server.is_healthy)
    for _ in range(20):
        server.get("/nowhere")
    with httpx.stream("GET", f"{server.url}/live/events", trust_env=False, timeout=60):
        wait_until(lambda: server.read("wattle_live_clients") == 1)
        # Whichever of the two answers.
        assert {server.read("wattle_live_clients") for _ in range(10)} == {1}
        assert {server.read("wattle_queue_waiting_runs") for _ in range(10)} == {1}
        counted = server.read("wattle_http_requests_total")
        assert counted > 40
        server.kill_web_processes()
    # One that is about to die may take a connection and not answer.
    wait_until(lambda: server.read("wattle_http_requests_total") > counted)
    wait_until(lambda: server.read("wattle_live_clients") == 0)

    (figures,) = server.folder.glob("wattle-figures-*")
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert not figures.exists()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {(line["component"], line["level"]) for line in lines} >= {
        ("backend", "INFO"),
        ("backend", "ERROR"),
    }
