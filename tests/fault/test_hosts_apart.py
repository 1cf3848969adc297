"""Wattle on four hosts of a network: the store, the API and two workers, over TLS with Redis users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.fault.acts import epochs_of, reasons_of, wait_for
from tests.hosts import Hosts, hosts_named
from tests.programs import ROOT, Programs, wait_until
from tests.redis_users import backend_rights, make_user, worker_rights
from tests.tls import make_certificate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TLS_PORT, API_PORT = 6380, 5000
NUM_EPOCHS = 30
TOKEN = "a-token-of-a-test-and-of-nobody-else"  # noqa: S105 - of this test's own backend
PASSWORDS = {"api": "a-pass", "worker": "w-pass"}


class Site:
    """What runs on each host."""

    def __init__(self, hosts: Hosts, folder: Path, redis_server: RedisServer) -> None:
        self.hosts, self._folder = hosts, folder
        self._socket = folder / "s"
        self._certificate = make_certificate(folder, hosts.addresses["store"])
        self._programs: list[Programs] = []
        with redis.Redis.from_url(redis_server.url) as admin:
            for user, password in PASSWORDS.items():
                rights = worker_rights() if user == "worker" else backend_rights()
                make_user(admin, user, password, rights)
            admin.execute_command("ACL", "SETUSER", "looker", "on", ">look", "~*", "&*", "+@all")
            admin.execute_command("ACL", "SETUSER", "default", "off")
        files = (str(self._certificate.file), str(self._certificate.key_file), str(self._socket))
        self.programs("store", "api").start(
            "-m", "tests.tls", hosts.addresses["store"], str(TLS_PORT), *files
        )

    def programs(self, host: str, user: str) -> Programs:
        """Return what starts programs on a host."""
        own = Programs(
            redis_url=f"rediss://{user}:{PASSWORDS[user]}@{self.hosts.addresses['store']}:{TLS_PORT}/0"
            f"?ssl_ca_certs={self._certificate.file}",
            data_dir=self._folder / host,
            before=self.hosts.on(host),
        )
        self._programs.append(own)
        return own

    def start_api(self) -> None:
        address = self.hosts.addresses["api"]
        self.programs("api", "api").start(
            "backend.py", host=address, port=API_PORT, allowed_hosts=json.dumps([address]), admin_token=TOKEN
        )

    def start_worker(self, host: str) -> Programs:
        own, shared = self.programs(host, "worker"), str(self._folder / "checkpoints")
        own.start_worker(lease_s=3, checkpoint_every_s=0.5, checkpoint_url=shared)
        return own

    def submit(self, **hyper_params: object) -> str:
        """Queue a run through the API, from a worker's host; returns its id."""
        wanted = json.dumps({"trainer": "saving", "seed": 0, **hyper_params})
        address = f"http://{self.hosts.addresses['api']}:{API_PORT}"
        command = (sys.executable, "-m", "cli.main", "submit", wanted, "--api", address)
        found: list[str] = []

        def is_accepted() -> bool:
            ran = subprocess.run(
                [*self.hosts.on("one"), *command],
                cwd=ROOT, env={**os.environ, "WATTLE_API_TOKEN": TOKEN},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            found.extend(ran.stdout.split() if ran.returncode == 0 else ())
            return bool(found)

        wait_until(is_accepted, every_s=1, what=self.output())
        return found[0]

    def output(self) -> str:
        return "\n".join(programs.output() for programs in self._programs)

    def stop(self) -> None:
        for programs in reversed(self._programs):
            programs.stop()


@pytest.fixture
def site(durable_redis: RedisServer) -> Iterator[Site]:
    with hosts_named("store", "api", "one", "two") as hosts:
        site = Site(hosts, durable_redis.data_dir, durable_redis)
        yield site
        site.stop()


@pytest.fixture
def looker(site: Site, durable_redis: RedisServer) -> Iterator[RedisDB]:
    """Look at the store from its own machine."""
    with RedisDB(durable_redis.url.replace("unix://", "unix://looker:look@")) as db:
        yield db


def worker_of(db: RedisDB, run_id: str) -> str:
    return db.runs.get(run_id).worker or ""


def test_a_run_of_a_host_that_is_cut_off_moves_and_is_recorded_once(site: Site, looker: RedisDB) -> None:
    site.start_api()
    site.start_worker("one")
    run_id = site.submit(num_epochs=NUM_EPOCHS, epoch_s=0.3)
    wait_until(lambda: len(epochs_of(looker, run_id)) >= 3, what=site.output())
    first = worker_of(looker, run_id)

    site.hosts.cut_off("one")
    two = site.start_worker("two")
    wait_until(lambda: worker_of(looker, run_id) not in ("", first), what=site.output())
    begun = len(epochs_of(looker, run_id))
    wait_until(lambda: len(epochs_of(looker, run_id)) > begun, what=site.output())
    site.hosts.plug_in("one")
    ended = wait_for(looker, run_id, Status.DONE, timeout_s=120)

    assert (ended.attempt, ended.failures, ended.lease_losses) == (2, 0, 1)
    assert epochs_of(looker, run_id) == list(range(1, NUM_EPOCHS + 1))
    assert len(reasons_of(looker, run_id)) == 2

    # The host that was away is one that trains again.
    two.stop()
    other = site.submit(num_epochs=2, epoch_s=0.1)
    wait_for(looker, other, Status.DONE, timeout_s=120)
    assert worker_of(looker, other) == first
