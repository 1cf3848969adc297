"""The real Prometheus with deploy/observe/prometheus.yml before a real backend that asks for tokens."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveBackend
from tests.manifests import DEPLOY
from tests.ports import own_port
from tests.programs import Programs, wait_until
from tests.secrets_made import copy_deploy, read_environment
from tests.tools import need

_REMEDY = "apt-get install prometheus"
TOKEN_FILE = "/run/secrets/metrics-token"  # noqa: S105 - where it is in the container


@contextmanager
def prometheus(folder: Path, backend_port: int, token: Path) -> Iterator[httpx.Client]:
    text = (DEPLOY / "observe" / "prometheus.yml").read_text()
    for asked, given in {
        "127.0.0.1:5000": f"127.0.0.1:{backend_port}",
        TOKEN_FILE: str(token),
        "scrape_interval: 15s": "scrape_interval: 1s",
        "scrape_timeout: 10s": "scrape_timeout: 1s",
        "- alerts.yml": f"- {DEPLOY}/observe/alerts.yml",
    }.items():
        assert asked in text
        text = text.replace(asked, given)
    folder.mkdir()
    (folder / "prometheus.yml").write_text(text)
    port = own_port()
    command = [need("prometheus", _REMEDY), f"--config.file={folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as asking:
        try:
            wait_until(lambda: is_ready(asking), timeout_s=60, what=f"{folder}/log", every_s=0.1)
            yield asking
        finally:
            process.terminate()
            process.wait(30)


def is_ready(asking: httpx.Client) -> bool:
    try:
        return asking.get("/-/ready").is_success
    except httpx.HTTPError:
        return False


def targets(asking: httpx.Client) -> list[dict[str, Any]]:
    """Those it knows by now, which it does a moment after it is ready."""
    found: list[dict[str, Any]] = asking.get("/api/v1/targets").json()["data"]["activeTargets"]
    return found


def is_target(health: str, asking: httpx.Client) -> bool:
    return [each["health"] for each in targets(asking)] == [health]


def values(asking: httpx.Client, query: str) -> list[float]:
    reply = asking.get("/api/v1/query", params={"query": query}).raise_for_status().json()
    return [float(each["value"][1]) for each in reply["data"]["result"]]


@pytest.mark.slow
def test_prometheus_reads_the_metrics_with_the_token_that_the_script_made(
    programs: Programs, tmp_path: Path
) -> None:
    need("prometheus", _REMEDY)
    secrets = copy_deploy(tmp_path) / "secrets"
    token = read_environment(secrets / "backend.env")["WATTLE_METRICS_TOKEN"]
    with LiveBackend(programs, require_token=True, metrics_token=token) as backend:
        assert backend.http.get("/metrics").status_code == 401
        with prometheus(tmp_path / "prometheus", backend.port, secrets / "metrics-token") as asking:
            wait_until(lambda: is_target("up", asking), timeout_s=60, every_s=0.2)
            wait_until(lambda: values(asking, "wattle_store_up") == [1.0], timeout_s=30, every_s=0.2)
            assert values(asking, "sum(wattle_workers)") == [0.0]
            (rules,) = asking.get("/api/v1/rules").json()["data"]["groups"]
            assert {rule["health"] for rule in rules["rules"]} <= {"ok", "unknown"}
        (tmp_path / "wrong").write_text("wattle_of-another-place")
        with prometheus(tmp_path / "other", backend.port, tmp_path / "wrong") as asking:
            wait_until(lambda: is_target("down", asking), timeout_s=60, every_s=0.2)
            assert "401" in targets(asking)[0]["lastError"]
    assert token not in programs.output()
