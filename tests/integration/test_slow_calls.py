"""What takes long is logged by its name; here everything takes longer than a ten-millionth of a second."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from backend import create_app
from redis_db import RedisDB
from settings import Settings

SLOW = {"method=GET", "route=/status/<iid>", "status=200"}


def test_slow_requests_and_calls_are_named_without_what_they_hold(
    db: RedisDB, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    with RedisDB(redis_url).warn_of_slow_calls(1e-7) as store:
        api = create_app(Settings(data_dir=tmp_path, slow_ms=1e-4), store).test_client()
        assert api.get(f"/status/{run_id}").status_code == 200
        store.queue.submit({"num_epochs": 1})
        store.queue.wait(["default"], timeout_s=0.001)
    calls = {text for text in caplog.messages if text.startswith("a slow call of Redis")}
    names = {text.split("name=")[1].split(" took_ms=")[0] for text in calls}
    assert {"'submit.lua'", "'HGETALL'"} <= names
    assert "'XREAD'" not in names  # it waits for as long as it was told to
    (request,) = (text for text in caplog.messages if text.startswith("a slow request"))
    assert set(request.split()) >= SLOW
    assert not [text for text in caplog.messages if run_id in text]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_what_is_fast_is_not_logged(db: RedisDB, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for slow_ms in (0, 600_000):
        db.warn_of_slow_calls(slow_ms / 1000)
        api = create_app(Settings(data_dir=tmp_path, slow_ms=slow_ms), db).test_client()
        assert api.get("/healthz").status_code == 200
    assert caplog.messages == []


def test_a_large_body_is_told_before_one_is_refused(
    db: RedisDB, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = create_app(Settings(data_dir=tmp_path, max_body_bytes=1000), db).test_client()
    body = b'{"num_epochs": 1, "trainer": "demo"%s}' % (b" " * 850)
    api.post("/train", data=body, content_type="application/json")
    (told,) = caplog.messages
    assert told.startswith(f"near a limit: {len(body)} of the 1000 that WATTLE_MAX_BODY_BYTES allows")
