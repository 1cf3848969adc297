"""The commands of docs/production.md for a host with systemd, below a folder, and what its units start."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis

from cli.redis_server import find_redis_binary
from tests.fault.test_compose_programs import answers, status_of
from tests.live import LiveBackend
from tests.manifests import DEPLOY
from tests.ports import own_port
from tests.programs import ROOT, Programs, wait_until
from tests.redis_users import adapt_file, list_refused
from tests.secrets_made import read_environment

# What needs a real host: packages, users, a clone, and systemd itself.
_NOT_HERE = ("apt-get ", "useradd ", "git ", "python3 -m venv ", "systemctl ", ".venv/bin/pip ")


def documented(after: str = "## On one host, with systemd") -> list[str]:
    """The commands that write files."""
    text = (ROOT / "docs" / "production.md").read_text().split(after)[1]
    lines = text.split("```sh\n")[1].split("```")[0].splitlines()
    return [line for line in lines if not line.startswith(_NOT_HERE)]


def run_below(there: Path, command: str) -> None:
    """Run what the page says with the folders of a host that are below this one."""
    below = re.sub(r"(?<![\w.])/(etc|var)/", rf"{there}/\1/", command).replace("--owner redis ", "")
    checkout = there / "opt" / "wattle"
    ended = subprocess.run(["sh", "-ec", below], cwd=checkout, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (command, ended.stderr)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like / of a host that was set up so."""
    there = tmp_path_factory.mktemp("host")
    checkout = there / "opt" / "wattle"
    shutil.copytree(DEPLOY, checkout / "deploy", ignore=shutil.ignore_patterns("secrets"))
    shutil.copy(ROOT / ".env.example", checkout)
    # As the packages of Debian leave them.
    for folder in ("etc/redis", "etc/systemd/system", "var/lib/redis"):
        (there / folder).mkdir(parents=True)
    for line in documented():
        run_below(there, line)
    return there


def given_to(unit: str, root: Path, redis_port: int) -> Mapping[str, str]:
    """What systemd gives a program of its files, the later ones first, with the port of this machine."""
    text = (root / "etc" / "systemd" / "system" / unit).read_text()
    read: dict[str, str] = {}
    for name in re.findall(r"^EnvironmentFile=-?(/\S+)$", text, re.MULTILINE):
        read |= read_environment(root / name.removeprefix("/"))
    if "WATTLE_REDIS_URL" in read:
        assert "@127.0.0.1:6379/" in read["WATTLE_REDIS_URL"]
        read["WATTLE_REDIS_URL"] = read["WATTLE_REDIS_URL"].replace(":6379/", f":{redis_port}/")
    return read


@pytest.fixture(scope="module")
def redis_port(root: Path) -> Iterator[int]:
    """redis-server with the files that were written."""
    port = own_port()
    adapt_file(root / "etc" / "redis" / "wattle-users.acl", find_redis_binary())
    password = re.findall(r"^user default on >(\S+) ", (root / "etc/redis/wattle-users.acl").read_text())[0]
    command = [str(find_redis_binary()), f"{root}/etc/redis/redis.conf", "--port", str(port)]
    process = subprocess.Popen([*command, "--logfile", f"{root}/log"], stdin=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password=password, decode_responses=True) as admin:
            wait_until(lambda: process.poll() is not None or answers(admin), what="Redis answers")
            assert process.poll() is None, (root / "log").read_text()
            wanted = {
                "bind": "127.0.0.1",
                "dir": f"{root}/var/lib/redis",
                "appendonly": "yes",
                "maxmemory-policy": "noeviction",
            }
            assert wanted.items() <= admin.config_get("*").items()
            yield port
            assert list_refused(admin) == set()
    finally:
        process.terminate()
        process.wait(20)


def test_nobody_but_its_owner_reads_a_secret_and_the_units_name_files_that_are_there(root: Path) -> None:
    for path in (root / "etc").rglob("*"):
        if path.is_file() and re.search(r"\b[0-9a-f]{48}\b", path.read_text()):
            assert path.stat().st_mode & 0o077 == 0, path
    units = sorted((root / "etc" / "systemd" / "system").glob("*.service"))
    assert len(units) == 3
    for unit in units:
        for name in re.findall(r"^EnvironmentFile=-?(/\S+)$", unit.read_text(), re.MULTILINE):
            assert (root / name.removeprefix("/")).is_file()
    assert not read_environment(root / "etc/wattle/page.env")


def test_an_upgrade_adds_what_is_missing_and_changes_no_setting(root: Path, tmp_path: Path) -> None:
    """Of a version that had no token for Prometheus, no file for the page and other rights in Redis."""
    there = tmp_path / "host"
    shutil.copytree(root / "etc", there / "etc")
    checkout = there / "opt" / "wattle"
    shutil.copytree(root / "opt" / "wattle" / "deploy", checkout / "deploy")
    before = dict(read_environment(there / "etc/wattle/backend.env"))
    token = before.pop("WATTLE_METRICS_TOKEN")
    own = {"WATTLE_REDIS_URL": "redis://mine@elsewhere:1/0", "WATTLE_ZONE": "FR"}
    (there / "etc/wattle/backend.env").write_text("\n".join(f"{name}={own[name]}" for name in own))
    (there / "etc/wattle/page.env").unlink()
    acl = there / "etc/redis/wattle-users.acl"
    acl.write_text(acl.read_text().replace("+zscore", ""))
    (there / "etc/systemd/system/wattle-page.service").write_text("old")
    worker = (there / "etc/wattle/worker.env").read_text()

    for _ in range(2):
        run_below(there, "\n".join(documented("With systemd, in `/opt/wattle` as root:")))

    assert read_environment(there / "etc/wattle/backend.env") == {**own, "WATTLE_METRICS_TOKEN": token}
    assert (there / "etc/wattle/worker.env").read_text() == worker
    for name in ("backend", "worker", "page"):
        assert (there / f"etc/wattle/{name}.env").stat().st_mode & 0o077 == 0
    assert acl.read_text() == (root / "etc/redis/wattle-users.acl").read_text()
    for unit in (DEPLOY / "systemd").glob("*.service"):
        assert (there / "etc/systemd/system" / unit.name).read_text() == unit.read_text()


@pytest.mark.slow
def test_what_the_units_start_trains_a_run(root: Path, redis_port: int, tmp_path: Path) -> None:
    programs = Programs(redis_url="redis://nobody@127.0.0.1:1/0", data_dir=tmp_path / "data")
    backend_given = given_to("wattle-backend.service", root, redis_port)
    # The unit's own, which no file may take the place of.
    assert "WATTLE_DATA_DIR" not in backend_given
    own = {"WATTLE_DATA_DIR": str(tmp_path / "data")}
    # LiveBackend has a port of its own, the file has the one that everybody knows.
    given = {name: value for name, value in backend_given.items() if name != "WATTLE_PORT"}
    try:
        with LiveBackend(programs, environment={**given, **own}) as backend:
            reply = backend.http.post("/train", json={"hyper_params": {"demo": True, "num_epochs": 2}})
            run_id = reply.raise_for_status().json()["iid"]
            worker_given = given_to("wattle-worker@.service", root, redis_port)
            assert "wattle-worker:" in worker_given["WATTLE_REDIS_URL"]
            assert "WATTLE_METRICS_TOKEN" not in worker_given
            programs.start_worker(environment={**worker_given, **own})
            wait_until(lambda: status_of(backend.http, run_id) == "done", what=run_id, every_s=0.2)
            programs.stop()
    finally:
        programs.stop()
