"""What a test of the store needs besides the store: a look at Redis itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client, to look at what was stored and to wind the clock of a lease."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
