"""Entries of a waiting list that another program wrote, and trainers of somebody else that check them."""

from __future__ import annotations

import json

import pytest
import redis
from pydantic import JsonValue

from redis_db import RedisDB


def check_badly(hyper_params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Check hyper_params as a trainer does that somebody wrote in a hurry."""
    return {**hyper_params, "rate": hyper_params["learning_rate"]}


def test_an_entry_whose_check_fails_in_any_way_is_rejected_and_holds_up_no_other(
    db: RedisDB, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bad = json.dumps({"iid": "bad", "hyper_params": {"num_epochs": 2}})
    good = json.dumps({"iid": "good", "hyper_params": {"num_epochs": 2, "learning_rate": 0.1}})
    raw.rpush("queue:foreign", good, bad)
    assert db.queue.adopt_foreign(check_badly) == ["good"]
    assert raw.lrange("queue:rejected", 0, -1) == [bad]
    assert raw.exists("queue:foreign") == 0
    assert "KeyError: 'learning_rate'" in caplog.records[-1].getMessage()
