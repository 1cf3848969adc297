"""The programs that read what is in deploy/ accept it, where they are installed."""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from redis_db import RedisDB
from schema import Worker
from tests.manifests import DEPLOY, objects
from tests.programs import ROOT
from tests.secrets_made import copy_deploy, environment_of
from tests.tls import make_certificate
from tests.tools import check, need
from tests.unit.test_deploy import SECRETS


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """deploy/ with the secrets that its script makes."""
    return copy_deploy(tmp_path)


def test_compose_reads_its_file_with_the_secrets_of_the_script(copied: Path) -> None:
    compose = need("docker-compose")
    told = yaml.safe_load(check(compose, "--file", copied / "compose.yaml", "config"))
    users = (copied / "secrets" / "users.acl").read_text()
    for service, user in (("backend", "wattle-backend"), ("worker", "wattle-worker")):
        given = told["services"][service]["environment"]
        login = re.fullmatch(r"redis://([\w-]+):(\w+)@redis:6379/0", given["WATTLE_REDIS_URL"])
        assert login is not None
        assert login[1] == user
        assert f"user {user} on >{login[2]} " in users
        assert ("WATTLE_METRICS_TOKEN" in given) == (service == "backend")
    assert "WATTLE_REDIS_URL" not in told["services"]["page"]["environment"]


def test_secrets_are_new_each_time_and_for_their_owner_alone(copied: Path, tmp_path: Path) -> None:
    made = {path.name: path for path in (copied / "secrets").iterdir()}
    assert (copied / "secrets").stat().st_mode & 0o777 == 0o700
    # The page's image has another user as well: this is where it looks for what logs people in.
    login = made.pop("streamlit")
    assert login.stat().st_mode & 0o777 == 0o755
    assert not list(login.iterdir())
    # Prometheus' image has another user; the folder is closed to all but its owner.
    assert made.pop("metrics-token").stat().st_mode & 0o777 == 0o644
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o600}
    other = copy_deploy(tmp_path / "other") / "secrets"
    secrets = re.compile(r"\b[0-9a-f]{48}\b")
    first, second = (
        {word for text in texts(folder).values() for word in secrets.findall(text)}
        for folder in (copied / "secrets", other)
    )
    # Four users of Redis, PostgreSQL, Grafana, the token of Prometheus.
    assert len(first) == len(second) == 7
    assert not first & second


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_second_time_nothing_changes_but_the_rights_of_users(copied: Path) -> None:
    folder = copied / "secrets"
    (folder / "wattle.env").write_text("WATTLE_ZONE=DE")
    with (folder / "users.acl").open("a") as users:
        users.write("user somebody-else on >a-password ~* +get\n")
    (folder / "streamlit" / "secrets.toml").write_text("[auth]")
    before = texts(folder)
    check("sh", copied / "make_secrets.sh")
    assert texts(folder) == before
    template = copied / "redis" / "users.acl"
    template.write_text(template.read_text().replace("~archive:*", "~archive:* ~news:*"))
    check("sh", copied / "make_secrets.sh")
    assert (folder / "users.acl").read_text() == before["users.acl"].replace(
        "~archive:*", "~archive:* ~news:*"
    )


OLD = {
    "redis.conf": "requirepass 0123abcd\n",
    "wattle.env": "WATTLE_REDIS_URL=redis://:0123abcd@redis:6379/0\nWATTLE_ZONE=DE\n",
    "backend.env": "WATTLE_DATABASE_URL=postgresql://wattle:abc@postgres/wattle",
    "page.env": "WATTLE_API_TOKEN=a-token\n",
    "grafana.env": "GF_SECURITY_ADMIN_PASSWORD=def\n",
    "postgres.env": "POSTGRES_PASSWORD=abc\n",
}


def upgrade(folder: Path, **changed: str) -> Path:
    """deploy/ with the secrets of a version in which all programs had one password."""
    copied = copy_deploy(folder)
    shutil.rmtree(copied / "secrets")
    (copied / "secrets").mkdir(mode=0o700)
    for name, text in {**OLD, **changed}.items():
        (copied / "secrets" / name).write_text(text)
    check("sh", copied / "make_secrets.sh")
    return copied


def test_secrets_of_an_older_version_go_on_with_users_of_their_own(tmp_path: Path) -> None:
    copied = upgrade(tmp_path)
    folder = copied / "secrets"
    assert {name: (folder / name).read_text() for name in OLD if name != "backend.env"} == {
        name: text for name, text in OLD.items() if name != "backend.env"
    }
    backend = (folder / "backend.env").read_text().splitlines()
    assert backend[0] == OLD["backend.env"]
    assert sum(line.startswith("WATTLE_DATABASE_URL=") for line in backend) == 1
    # Who still has the one password is Redis' user default.
    assert "user default on >0123abcd " in (folder / "users.acl").read_text()
    for service in ("backend", "worker"):
        assert f"://wattle-{service}:" in environment_of(service, copied)["WATTLE_REDIS_URL"]
        assert environment_of(service, copied)["WATTLE_ZONE"] == "DE"


def test_a_redis_that_is_elsewhere_stays_there(tmp_path: Path) -> None:
    url = "rediss://wattle:secret@redis.example.org:6380/0"
    copied = upgrade(tmp_path, **{"wattle.env": f"WATTLE_REDIS_URL={url}\n"})
    assert {environment_of(name, copied)["WATTLE_REDIS_URL"] for name in ("backend", "worker")} == {url}


def test_kubectl_makes_the_secrets_that_pods_ask_for(tmp_path: Path) -> None:
    """The commands of docs/production.md, but for those that need a cluster."""
    kubectl = need("kubectl", "make tools")
    told = (ROOT / "docs" / "production.md").read_text().split("## On Kubernetes")[1]
    lines = told.split("```sh\n")[1].split("```")[0].splitlines()
    (made,) = (shlex.split(line) for line in lines if "make_secrets.sh" in line)
    copied = copy_deploy(tmp_path, *made[2:])
    known = {}
    for line in lines:
        command = shlex.split(line)
        if "secret" in command:
            own = [kubectl, *command[1:], "--dry-run=client", "--output=yaml"]
            ended = subprocess.run(own, cwd=copied.parent, capture_output=True, text=True, check=True)
            secret = yaml.safe_load(ended.stdout)
            assert secret["metadata"]["namespace"] == "wattle"
            known[secret["metadata"]["name"]] = secret["data"]
    assert {name: set(data) for name, data in known.items()} == {
        **SECRETS,
        "wattle": SECRETS["wattle"] | {"WATTLE_METRICS_TOKEN"},
    }
    urls = [
        base64.b64decode(known[name]["WATTLE_REDIS_URL"]).decode() for name in ("wattle", "wattle-worker")
    ]
    services = {each["metadata"]["name"] for each in objects() if each["kind"] == "Service"}
    assert {urlsplit(url).hostname for url in urls} <= {f"{name}.wattle.svc" for name in services}


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
