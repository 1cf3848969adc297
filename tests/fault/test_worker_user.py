"""A worker trains with the Redis user of docs/security.md, over TLS, and reaches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.programs import Programs, wait_until
from tests.redis_users import backend_rights, list_refused, make_user, worker_rights
from tests.tls import make_certificate, tls_proxy
from trainers import validator

PASSWORDS = {"wattle-worker": "w0rker-secret", "wattle-backend": "backend-secret"}


@pytest.fixture
def urls(durable_redis: RedisServer, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Where each user finds the server, which knows nobody else."""
    with redis.Redis.from_url(durable_redis.url) as admin:
        for user, rights in (("wattle-worker", worker_rights()), ("wattle-backend", backend_rights())):
            make_user(admin, user, PASSWORDS[user], rights)
    certificate = make_certificate(tmp_path)
    socket = Path(durable_redis.url.removeprefix("unix://"))
    with tls_proxy(certificate, socket) as port:
        yield {
            user: f"rediss://{user}:{password}@127.0.0.1:{port}/0?ssl_ca_certs={certificate.file}"
            for user, password in PASSWORDS.items()
        }


@pytest.mark.slow
def test_a_worker_claims_trains_renews_and_finishes_with_its_own_rights(
    urls: dict[str, str], durable_redis: RedisServer, tmp_path: Path
) -> None:
    programs = Programs(redis_url=urls["wattle-worker"], data_dir=tmp_path / "data")
    with RedisDB(urls["wattle-backend"]) as db:
        params = validator(Settings(data_dir=tmp_path))({"demo": True, "num_epochs": 3})
        run_id = db.queue.submit(params, run_id="a-run").run_id
        try:
            programs.start_worker(lease_s=1.0)
            wait_until(lambda: db.runs.get(run_id).status.is_final, what=run_id)
            wait_until(lambda: db.workers.list_live(), what="a heartbeat")
        finally:
            programs.stop()
        assert db.runs.get(run_id).status is Status.DONE
        assert len(db.runs.list_epochs(run_id)) == 3
    with redis.Redis.from_url(durable_redis.url, decode_responses=True) as admin:
        assert list_refused(admin) == set()
    for password in PASSWORDS.values():
        assert password not in programs.output()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("HGETALL", "access:tokens"),
        ("HSET", "access:tokens", "a", "b"),
        ("XRANGE", "access:audit", "-", "+"),
        ("GET", "anything"),
        ("CONFIG", "GET", "*"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("EVAL", "return redis.call('HGETALL', 'access:tokens')", "0"),
        ("SET", "access:passes:forged", "default"),
    ],
)
def test_what_a_worker_does_not_need_is_refused(urls: dict[str, str], command: tuple[str, ...]) -> None:
    with redis.Redis.from_url(urls["wattle-worker"]) as worker:
        with pytest.raises(redis.RedisError, match=r"permissions|can't access"):
            worker.execute_command(*command)
        assert worker.ping()
