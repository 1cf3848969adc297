"""How many requests somebody has made in the present minute."""

from __future__ import annotations

from typing import Final

from store.connection import Connection
from store.keys import Keys

WINDOW_S: Final = 60


class Turns:
    """Counters that end with their minute, which begins with the first request in it."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def take(self, *callers: str) -> list[tuple[int, float]]:
        """Count a request of each caller; returns how many there were, and in how many seconds it ends.

        Atomic (take_turns.lua).
        """
        keys = [self._keys.of("turns", caller) for caller in callers]
        counted: list[list[int]] = self._connection.run("take_turns", keys, [1000 * WINDOW_S])
        return [(count, left_ms / 1000) for count, left_ms in counted]
