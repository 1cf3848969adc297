"""What tests of alerts share: rules, and programs that keep house with channels of their own."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from typing import Any

import redis

from alerts import Alerting
from alerts.channels import Channel
from alerts.sending import Message, Send
from housekeeping import tick
from redis_db import RedisDB
from schema import Alert, AlertRule
from settings import Settings

LEASE_S = 60.0
OPS = {"alert_channels": "ops=json://127.0.0.1:9/hook"}


def add_rule(db: RedisDB, condition: Mapping[str, Any], **changes: Any) -> AlertRule:
    """Keep a rule from now on."""
    known: dict[str, Any] = {
        "name": f"rule {condition['kind']}",
        "condition": condition,
        "rule_id": uuid.uuid4().hex,
        "active_since": db.now(),
    }
    rule = AlertRule.model_validate(known | changes)
    db.alerts.put_rule(rule, is_new=True)
    return rule


def raised(db: RedisDB) -> list[Alert]:
    """All alerts, oldest first."""
    return list(db.alerts.list_raised(1000))[::-1]


class Inbox:
    """Channels that keep what they are told; ``reasons`` are what they answer, one after the other."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Message]] = []
        self.reasons: list[str] = []
        self.is_open = threading.Event()
        self.is_open.set()

    def __call__(self, channel: Channel, message: Message) -> str | None:
        """Take a message, once the inbox is open."""
        self.is_open.wait()
        if self.reasons:
            return self.reasons.pop(0)
        self.told.append((channel.name, message))
        return None


class NoPlanning:
    """Plans nothing."""

    def begin(self) -> None:
        """Do nothing."""


def alerting(db: RedisDB, send: Send | None = None, **settings: Any) -> Alerting:
    """Return the alerts of a program with these settings; without ``send`` it sends for real."""
    own = Settings(_env_file=None, **settings)
    return Alerting(db, own) if send is None else Alerting(db, own, sender=send)


def keep_house(raw: redis.Redis, db: RedisDB, *programs: Alerting, wait_s: float = 10.0) -> None:
    """Let each program tick twice, as if a second had passed before each, and wait for what that began."""
    for program in [*programs, *programs]:
        raw.delete("lock:reap", "lock:alerts")
        tick(db, lease_s=LEASE_S, validate=lambda given: given, planning=NoPlanning(), alerting=program)
        program.wait(wait_s)


def wind_back(raw: redis.Redis, seconds: float) -> None:
    """Let every condition hold, and every alert be raised, so much earlier."""
    for field, text in raw.hgetall("alerts:states").items():
        state = json.loads(text)
        state |= {name: state[name] - seconds for name in ("since", "raised_at") if state.get(name)}
        raw.hset("alerts:states", field, json.dumps(state))


def fill_messages(raw: redis.Redis, channel: str) -> None:
    """Let a channel have its full share of messages again, and be tried at once."""
    raw.hdel(f"alerts:channel:{channel}", "messages", "counted_at", "retry_at")
