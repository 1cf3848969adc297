"""What about a Redis could lose runs, judged by its INFO."""

from __future__ import annotations

import re
from typing import Any

import pytest

from store.fitness import warnings_about

FIT: dict[str, Any] = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
}


@pytest.mark.parametrize(
    "fit",
    [
        {},
        {"redis_version": "6.2.0"},
        {"redis_version": 7.2},
        {"redis_version": "10.0.1"},
        {"maxmemory": 10**9},
        {"maxmemory_policy": "allkeys-lru"},  # without a maxmemory it never evicts
    ],
)
def test_a_server_that_keeps_what_it_gets_is_not_warned_about(fit: dict[str, Any]) -> None:
    assert warnings_about({**FIT, **fit}) == []


@pytest.mark.parametrize(
    ("unfit", "remedy"),
    [
        ({"redis_version": "6.0.16"}, "6.0.16, Wattle needs 6.2"),
        ({"redis_version": "5.0"}, "Upgrade"),
        ({"redis_version": 5.0}, "Upgrade"),
        (
            {"maxmemory": 1, "maxmemory_policy": "volatile-ttl"},
            "volatile-ttl.*Set maxmemory-policy noeviction",
        ),
        ({"aof_enabled": 0}, "Set appendonly yes"),
        ({"role": "slave"}, "Set WATTLE_REDIS_URL to the primary"),
    ],
)
def test_what_could_lose_runs_is_said_with_its_remedy(unfit: dict[str, Any], remedy: str) -> None:
    (warning,) = warnings_about({**FIT, **unfit})
    assert re.search(remedy, warning)


def test_what_a_server_does_not_tell_is_not_held_against_it() -> None:
    assert warnings_about({}) == []
