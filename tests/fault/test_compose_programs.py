"""What compose.yaml starts, without Docker: its Redis with its users, and programs with their secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis

from cli.redis_server import find_redis_binary
from tests.keda import Keda
from tests.live import LiveBackend
from tests.manifests import DEPLOY, compose, objects
from tests.ports import own_port
from tests.programs import Programs, wait_until
from tests.redis_users import adapt_file, list_refused
from tests.secrets_made import copy_deploy, environment_of, read_environment
from tests.tools import need

KEDA_URL = "redis://{username}:{password}@redis:6379/0"
RUN = {"demo": True, "num_epochs": 3}


@dataclass
class Redis:
    """The server of compose.yaml on a port of this machine."""

    port: int
    copied: Path

    def here(self, url: str) -> str:
        assert "@redis:6379/" in url
        return url.replace("@redis:6379/", f"@127.0.0.1:{self.port}/")

    def given_to(self, service: str) -> Mapping[str, str]:
        """What compose gives a service, with the address of this machine."""
        given = environment_of(service, self.copied)
        return {**given, "WATTLE_REDIS_URL": self.here(given["WATTLE_REDIS_URL"])}

    def client_of(self, service: str) -> redis.Redis:
        return redis.Redis.from_url(self.given_to(service)["WATTLE_REDIS_URL"], decode_responses=True)

    def password_of(self, user: str) -> str:
        lines = (self.copied / "secrets" / "users.acl").read_text().splitlines()
        (password,) = (line.split()[3][1:] for line in lines if line.split()[1] == user)
        return password

    def admin(self) -> redis.Redis:
        password = self.password_of("default")
        return redis.Redis(port=self.port, password=password, decode_responses=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """redis-server with deploy/redis/redis.conf and the users that make_secrets.sh has made."""
    folder = tmp_path_factory.mktemp("compose")
    made = Redis(own_port(), copy_deploy(folder))
    text = (DEPLOY / "redis" / "redis.conf").read_text()
    for asked, given in {
        "/run/redis-users.acl": made.copied / "secrets" / "users.acl",
        "dir /data": f"dir {folder}",
    }.items():
        assert asked in text
        text = text.replace(asked, str(given))
    (folder / "redis.conf").write_text(text)
    adapt_file(made.copied / "secrets" / "users.acl", find_redis_binary())
    command = [str(find_redis_binary()), f"{folder}/redis.conf", "--bind", "127.0.0.1", "--port"]
    command += [str(made.port), "--logfile", f"{folder}/log"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        with made.admin() as admin:
            wait_until(lambda: process.poll() is not None or answers(admin), what="Redis answers")
            assert process.poll() is None, (folder / "log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(20)


def answers(admin: redis.Redis) -> bool:
    try:
        return bool(admin.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def programs(server: Redis, tmp_path: Path) -> Iterator[Programs]:
    started = Programs(redis_url="redis://nobody@127.0.0.1:1/0", data_dir=tmp_path / "data")
    yield started
    started.stop()


@pytest.mark.slow
def test_a_run_goes_from_the_api_to_a_worker_and_each_needs_no_more_than_its_own_user(
    server: Redis, programs: Programs
) -> None:
    with server.admin() as admin:
        admin.flushall()
        admin.execute_command("ACL", "LOG", "RESET")
    with LiveBackend(programs, environment=server.given_to("backend")) as backend:
        scaler = Keda(
            server.here(KEDA_URL.format(**read_environment(server.copied / "secrets" / "keda.env")))
        )
        asked = {"hyper_params": RUN, "options": {"queue": "gpu-a100"}}
        run_id = backend.http.post("/train", json=asked).raise_for_status().json()["iid"]
        assert (scaler.wants("ScaledObject"), scaler.wants("ScaledJob")) == (1, 1)

        programs.start_worker("--queues", "gpu-a100", lease_s=1.0, environment=server.given_to("worker"))

        wait_until(lambda: status_of(backend.http, run_id) == "done", what=f"{run_id} is done", every_s=0.2)
        wait_until(lambda: scaler.wants("ScaledObject") == 0, what="nobody is needed any more")
        scaler.close()
        # The check of the worker's container, with its user.
        told = subprocess.run(
            [sys.executable, str(DEPLOY / "docker" / "healthy.py"), "worker"],
            env={**os.environ, **server.given_to("worker")}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        programs.stop()
    with server.admin() as admin:
        assert list_refused(admin) == set()
        assert {user.split()[1] for user in admin.acl_list()} == {
            *("default", "wattle-backend", "wattle-worker", "wattle-keda")
        }
    for user in ("default", "wattle-backend", "wattle-worker", "wattle-keda"):
        assert server.password_of(user) not in programs.output()


def status_of(api: httpx.Client, run_id: str) -> str:
    return str(api.get(f"/status/{run_id}").raise_for_status().json()["status"])


@pytest.mark.parametrize(
    "command",
    [
        ("HGETALL", "access:tokens"),
        ("HSET", "access:tokens", "a", "b"),
        ("XRANGE", "access:audit", "-", "+"),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "appendonly", "no"),
        ("ACL", "LIST"),
        ("FLUSHALL",),
        ("SHUTDOWN",),
        ("EVAL", "return redis.call('HGETALL', 'access:tokens')", "0"),
    ],
)
def test_tokens_the_audit_log_and_administration_are_refused_to_a_worker(
    server: Redis, command: tuple[str, ...]
) -> None:
    with server.client_of("worker") as worker:
        with pytest.raises(redis.RedisError, match=r"permissions|can't access|can't run"):
            worker.execute_command(*command)
        assert worker.ping()


@pytest.mark.parametrize(
    "command",
    [
        ("LRANGE", "queue:requests:gpu-a100", "0", "-1"),
        ("SMEMBERS", "queue:demand"),
        ("LLEN", "run:a"),
        ("HGETALL", "run:a"),
        ("LPUSH", "queue:requests:gpu-a100", "a"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", "1", "queue:demand"),
        ("INFO",),
    ],
)
def test_what_waits_and_what_runs_are_is_refused_to_an_autoscaler(
    server: Redis, command: tuple[str, ...]
) -> None:
    given = read_environment(server.copied / "secrets" / "keda.env")
    with redis.Redis.from_url(server.here(KEDA_URL.format(**given))) as scaler:
        with pytest.raises(redis.RedisError, match=r"permissions|can't access|can't run"):
            scaler.execute_command(*command)
        assert scaler.ping()


@pytest.mark.parametrize("queue", ["queue:requests", "queue:requests:high", "queue:requests:gpu-a100"])
def test_an_autoscaler_may_ask_for_the_list_of_every_queue(server: Redis, queue: str) -> None:
    given = read_environment(server.copied / "secrets" / "keda.env")
    with redis.Redis.from_url(server.here(KEDA_URL.format(**given))) as scaler:
        assert scaler.llen(queue) == 0
        assert scaler.eval("return redis.call('LLEN', KEYS[1])", 1, queue) == 0


def test_nobody_comes_in_without_a_password(server: Redis) -> None:
    with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.execute_command("GET", "a")


def test_the_check_of_the_container_asks_with_the_password_of_the_file(server: Redis) -> None:
    """The line of compose.yaml, and of the pod of Redis, as sh runs it there."""
    asks = need("redis-cli")
    told = " ".join(compose()["services"]["redis"]["healthcheck"]["test"][1:]).replace("$$", "$")
    (pod,) = (each["spec"]["template"]["spec"] for each in objects() if each["kind"] == "StatefulSet")
    probe = pod["containers"][0]["readinessProbe"]["exec"]["command"][2]
    acl = str(server.copied / "secrets" / "users.acl")
    for line, asked in ((told, "/run/redis-users.acl"), (probe, "/run/wattle/users.acl")):
        assert asked in line
        own = line.replace(asked, acl).replace("redis-cli", f"{asks} -p {server.port}")
        assert subprocess.run(["sh", "-c", own], check=False).returncode == 0
        wrong = own.replace(acl, "/dev/null")
        assert subprocess.run(["sh", "-c", wrong], check=False, capture_output=True).returncode != 0
