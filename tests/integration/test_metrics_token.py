"""WATTLE_METRICS_TOKEN: for /metrics and nothing else, also while Redis is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend import create_app
from redis_db import RedisDB
from settings import Settings

SECRET = "a token that reads figures and no more"  # noqa: S105 - of a test
SHOWN = {"Authorization": f"Bearer {SECRET}"}
ELSEWHERE = {"REMOTE_ADDR": "10.0.0.7"}


def test_it_reads_the_metrics_from_another_machine(db: RedisDB, tmp_path: Path) -> None:
    api = create_app(Settings(data_dir=tmp_path, metrics_token=SECRET), db).test_client()
    assert api.get("/metrics", environ_base=ELSEWHERE).status_code == 401
    told = api.get("/metrics", headers=SHOWN, environ_base=ELSEWHERE)
    assert told.status_code == 200
    assert "wattle_store_up 1.0" in told.text


@pytest.mark.parametrize("path", ["/api/runs", "/api/tokens", "/experiments", "/api/export"])
def test_it_is_known_nowhere_else(db: RedisDB, tmp_path: Path, path: str) -> None:
    api = create_app(Settings(data_dir=tmp_path, metrics_token=SECRET), db).test_client()
    for where in ({}, ELSEWHERE):
        assert api.get(path, headers=SHOWN, environ_base=where).status_code == 401


def test_it_is_none_where_none_is_set(db: RedisDB, tmp_path: Path) -> None:
    api = create_app(Settings(data_dir=tmp_path), db).test_client()
    assert api.get("/metrics", headers=SHOWN).status_code == 401


def test_a_backend_that_started_without_redis_tells_it_so(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, metrics_token=SECRET, redis_url="redis://127.0.0.1:1")
    with RedisDB(settings.redis_url) as away:
        told = create_app(settings, away).test_client().get("/metrics", headers=SHOWN, environ_base=ELSEWHERE)
    assert told.status_code == 200
    assert "wattle_store_up 0.0" in told.text


def test_a_short_one_is_refused_before_it_can_be_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_METRICS_TOKEN", "short")
    with pytest.raises(ValueError, match="metrics_token"):
        Settings()
