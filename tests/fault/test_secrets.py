"""A token that was used is in no log of the backend and in no file of Redis."""

from __future__ import annotations

import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from tests.live import LiveBackend
from tests.programs import Programs, wait_until

ADMIN = "the-admin-token-of-the-environment-0123456789"
THROUGH_A_PROXY = {"X-Forwarded-For": "203.0.113.9"}


@pytest.mark.slow
def test_a_secret_that_was_used_is_written_nowhere(
    programs: Programs, store: RedisDB, durable_redis: RedisServer
) -> None:
    with LiveBackend(programs, log_level="DEBUG", admin_token=ADMIN) as backend:
        assert backend.http.get("/api/runs", headers=THROUGH_A_PROXY).status_code == 401
        shown = THROUGH_A_PROXY | {"Authorization": f"Bearer {ADMIN}"}
        made = backend.http.post("/api/tokens", json={"name": "ci", "scope": "submit"}, headers=shown).json()
        secret = made["secret"]
        headers = THROUGH_A_PROXY | {"Authorization": f"Bearer {secret}"}
        assert backend.http.get("/api/runs", headers=headers).status_code == 200
        assert backend.http.post("/train", json={"num_epochs": -1}, headers=headers).status_code == 422
        wrong = THROUGH_A_PROXY | {"Authorization": f"Bearer {secret}x"}
        assert secret not in backend.http.get("/api/runs", headers=wrong).text
        protocols = ["wattle", f"wattle.token.{secret}"]
        with backend.watch(subprotocols=protocols, additional_headers=THROUGH_A_PROXY) as watcher:
            assert watcher.next()["type"] == "snapshot"
    assert len(store.audit.list()) == 1
    files = [path for path in durable_redis.data_dir.rglob("*") if path.is_file()]
    wait_until(
        lambda: any(made["token_id"].encode() in path.read_bytes() for path in files),
        what="the token's record",
    )
    written = [programs.output().encode(), *(path.read_bytes() for path in files)]
    assert b"gunicorn" in written[0]
    for text in written:
        assert secret.removeprefix("wattle_").encode() not in text
        assert ADMIN.encode() not in text
