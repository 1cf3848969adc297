"""The programs that read what is in deploy/ accept it, where they are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from redis_db import RedisDB
from schema import Worker
from tests.manifests import DEPLOY
from tests.programs import ROOT
from tests.tls import make_certificate

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def need(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def check(*command: str | Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """deploy/ with the secrets that its script makes."""
    there = shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
    check("sh", there / "make_secrets.sh")
    return there


def test_compose_reads_its_file_with_the_secrets_of_the_script(copied: Path) -> None:
    compose = need("docker-compose")
    told = yaml.safe_load(check(compose, "--file", copied / "compose.yaml", "config"))
    password = (copied / "secrets" / "redis.conf").read_text().split()[1]
    assert f":{password}@redis:6379" in told["services"]["worker"]["environment"]["WATTLE_REDIS_URL"]
    assert "WATTLE_REDIS_URL" not in told["services"]["page"]["environment"]


def test_secrets_are_new_each_time_for_their_owner_alone_and_never_overwritten(copied: Path) -> None:
    made = sorted((copied / "secrets").iterdir())
    assert len(made) == 6
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    before = [path.read_text() for path in made]
    again = subprocess.run(["sh", copied / "make_secrets.sh"], capture_output=True, check=False)
    assert again.returncode == 1
    assert [path.read_text() for path in made] == before


@pytest.mark.parametrize("unit", ["wattle-backend.service", "wattle-page.service", "wattle-worker@.service"])
def test_systemd_reads_the_units(unit: str, tmp_path: Path) -> None:
    verify = need("systemd-analyze")
    text = (DEPLOY / "systemd" / unit).read_text()
    # Where this checkout is.
    text = text.replace("/opt/wattle/.venv/bin/", f"{Path(sys.executable).parent}/").replace(
        "/opt/wattle", f"{ROOT}"
    )
    written = tmp_path / unit.replace("@", "@cpu")
    written.write_text(text)
    ended = subprocess.run(
        [verify, "verify", "--man=no", written], capture_output=True, text=True, check=False
    )
    about_ours = [line for line in ended.stderr.splitlines() if written.name in line]
    assert (ended.returncode, about_ours) == (0, []), ended.stderr


def test_nginx_reads_its_file(tmp_path: Path) -> None:
    nginx = need("nginx")
    certificate = make_certificate(tmp_path)
    text = (DEPLOY / "nginx.conf").read_text()
    for asked, given in {
        "/etc/nginx/tls/wattle.pem": certificate.file,
        "/etc/nginx/tls/wattle.key": certificate.key_file,
        "/var/log/nginx/wattle.log": tmp_path / "access.log",
        "/run/nginx.pid": tmp_path / "pid",
    }.items():
        assert asked in text
        text = text.replace(asked, str(given))
    (tmp_path / "nginx.conf").write_text(text)
    check(
        nginx,
        "-t",
        "-q",
        "-p",
        tmp_path,
        "-c",
        tmp_path / "nginx.conf",
        "-g",
        f"error_log {tmp_path}/errors;",
    )


def ask_health(program: str, **settings: object) -> int:
    return subprocess.run(
        [sys.executable, DEPLOY / "docker" / "healthy.py", program],
        env={**os.environ, **{f"WATTLE_{name.upper()}": str(value) for name, value in settings.items()}},
        cwd=ROOT,
        check=False,
        capture_output=True,
    ).returncode


def test_a_container_with_a_worker_is_healthy_while_it_beats_and_while_redis_is_away(
    db: RedisDB, redis_url: str, tmp_path: Path
) -> None:
    assert ask_health("worker", redis_url=redis_url) == 1
    db.workers.beat(
        Worker(
            worker_id="w-1",
            name="w",
            host=os.uname().nodename,
            pid=1,
            device="cpu",
            threads=1,
            queues=("default",),
            started_at=datetime.now(UTC),
            seen_at=datetime.now(UTC),
        ),
        ttl_s=300,
    )
    assert ask_health("worker", redis_url=redis_url) == 0
    assert ask_health("worker", redis_url=f"unix://{tmp_path}/nobody") == 0


def test_a_container_without_its_program_is_not_healthy() -> None:
    # A port nothing can listen on.
    assert ask_health("backend", port=1) == 1
    assert ask_health("page", page_port=1) == 1


def test_the_check_asks_what_the_api_answers_without_redis_and_without_a_token() -> None:
    text = (DEPLOY / "docker" / "healthy.py").read_text()
    path = re.search(r'path = "([^"]+)" if', text)
    assert path is not None
    from backend import create_app
    from settings import Settings

    app = create_app(Settings(redis_url="redis://127.0.0.1:1", require_token=True))
    assert app.test_client().get(path[1]).status_code == 302
