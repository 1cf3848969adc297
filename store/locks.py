"""Locks that expire by themselves, one per job of the housekeeping."""

from __future__ import annotations

import math

from store.connection import Connection
from store.keys import Keys


class Locks:
    """Who may do a job now."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def acquire(self, job: str, ttl_s: float) -> bool:
        """Take the lock of ``job`` until ``ttl_s`` has passed; False while somebody has it."""
        ttl_ms = max(1, math.ceil(1000 * ttl_s))
        reply: str | None = self._connection.call("SET", self._keys.of("lock", job), 1, "NX", "PX", ttl_ms)
        return reply is not None
