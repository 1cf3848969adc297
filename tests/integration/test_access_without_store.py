"""What the door does while Redis is full, away, or that of a newer Wattle."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend import create_app
from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema.access import Scope, TokenRequest
from settings import Settings
from tests.records import claim

pytestmark = pytest.mark.one_server


def test_a_scraper_is_told_that_redis_is_away_and_a_full_one_lets_tokens_read(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with RedisDB(own_redis.url) as db:
        secret = db.tokens.create(TokenRequest(name="prometheus", scope=Scope.READ)).secret
        shown = {"Authorization": f"Bearer {secret}"}
        api = create_app(Settings(_env_file=None, data_dir=tmp_path), db).test_client()

        db._connection.call("CONFIG", "SET", "maxmemory", "1mb")
        assert api.get("/api/runs", headers=shown).status_code == 200
        db._connection.call("CONFIG", "SET", "maxmemory", "0")
        assert "wattle_store_up 1.0" in api.get("/metrics", headers=shown).text

        own_redis.stop()
        assert "wattle_store_up 0.0" in api.get("/metrics", headers=shown).text
        other = {"Authorization": "Bearer " + "x" * 43}
        assert api.get("/metrics", headers=other).status_code == 503


def test_a_newer_store_is_a_503_and_no_error_of_ours(own_redis: RedisServer, tmp_path: Path) -> None:
    with RedisDB(own_redis.url) as db:
        db.queue.submit({"num_epochs": 1}, run_id="a")
        claim(db)
        db._connection.call("SET", "store:layout", "99")
    with RedisDB(own_redis.url) as db:
        api = create_app(Settings(_env_file=None, data_dir=tmp_path), db).test_client()
        assert api.delete("/api/runs/a?confirm=a", json={}).status_code == 503
        assert api.get("/healthz").status_code == 503
        assert "wattle_store_up 0.0" in api.get("/metrics").text
        stranger = {"Host": "127.0.0.1", "X-Forwarded-For": "10.0.0.1"}
        assert "99" not in api.get("/healthz", headers=stranger).text


def test_only_those_who_scraped_last_are_known_while_redis_is_away(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with RedisDB(own_redis.url) as db:
        shown = [
            {"Authorization": f"Bearer {db.tokens.create(TokenRequest(name=str(number))).secret}"}
            for number in range(40)
        ]
        api = create_app(Settings(_env_file=None, data_dir=tmp_path), db).test_client()
        for headers in shown:
            assert api.get("/metrics", headers=headers).status_code == 200

        own_redis.stop()
        answers = [api.get("/metrics", headers=headers).status_code for headers in shown]
    assert answers == [503] * 8 + [200] * 32
