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
        reply: str | None = self._connection.call(
            "SET", self._keys.of("lock", job), 1, "NX", "PX", _to_ms(ttl_s)
        )
        return reply is not None

    def is_held(self, job: str) -> bool:
        """Whether somebody has the lock of ``job``."""
        return bool(self._connection.call("EXISTS", self._keys.of("lock", job)))

    def hold(self, job: str, ttl_s: float) -> None:
        """Keep the lock of ``job`` until ``ttl_s`` has passed from now, whoever has it: it has been done."""
        self._connection.call("SET", self._keys.of("lock", job), 1, "PX", _to_ms(ttl_s))


def _to_ms(ttl_s: float) -> int:
    return max(1, math.ceil(1000 * ttl_s))
