"""The thread that shows live views, with real connections and a real store."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from api.live.stage import LiveStage
from api.live.viewers import EventStreamWire
from redis_db import RedisDB
from schema import DEFAULT_VIEW, LivePoint, LiveUpdate
from tests.programs import wait_until

PATIENCE_S = 60.0
UPDATES = "live:default:updates"


@contextmanager
def watching(stage: LiveStage) -> Iterator[Iterator[str]]:
    """The lines of one who watches the default view; they end with the connection."""
    here, there = socket.socketpair()
    here.settimeout(PATIENCE_S)
    with here, here.makefile("r", encoding="utf-8") as lines:
        stage.admit(there, EventStreamWire([]), DEFAULT_VIEW)
        yield iter(lines)


def first_message(lines: Iterator[str]) -> Any:
    return json.loads(next(line for line in lines if line.startswith("data: "))[6:])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_fails_lets_its_viewers_go_and_the_next_one_shows_again(
    db: RedisDB, raw: redis.Redis
) -> None:
    db.live.update(DEFAULT_VIEW, LiveUpdate(points=(LivePoint(1, 0.5),)))
    stage = LiveStage(db, most_viewers=2)
    try:
        with watching(stage) as lines:
            assert first_message(lines)["points"]["iterations"] == [1]
            broken = raw.xadd(UPDATES, {"points": "no JSON", "rest": "{}"})
            assert [line for line in lines if "no JSON" in line] == [], "the connection has ended"
        wait_until(lambda: stage.viewer_count == 0)
        stage.check_room()
        raw.xdel(UPDATES, str(broken))
        with watching(stage) as lines:
            assert first_message(lines)["points"]["iterations"] == [1]
            assert stage.viewer_count == 1
    finally:
        stage.stop()


def test_who_comes_while_a_failed_thread_reports_its_error_is_shown_the_view(
    db: RedisDB, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: shown.wait(PATIENCE_S))
    db.live.update(DEFAULT_VIEW, LiveUpdate(points=(LivePoint(1, 0.5),)))
    stage = LiveStage(db, most_viewers=2)
    try:
        with watching(stage) as lines:
            assert first_message(lines)["points"]["iterations"] == [1]
            broken = raw.xadd(UPDATES, {"points": "no JSON", "rest": "{}"})
            assert [line for line in lines if "no JSON" in line] == [], "the connection has ended"
        wait_until(lambda: stage.viewer_count == 0)
        raw.xdel(UPDATES, str(broken))
        with watching(stage) as lines:
            assert first_message(lines)["points"]["iterations"] == [1]
    finally:
        shown.set()
        stage.stop()
