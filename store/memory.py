"""How full Redis is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from errors import StoreFull
from store.connection import Connection

# A busy store is asked no more often than that.
KNOWN_S: Final = 1.0
WARN_SHARE: Final = 0.8
FULL_SHARE: Final = 0.9


class Memory:
    """The share of ``maxmemory`` that is used."""

    def __init__(self, connection: Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._known_until_s = float("-inf")
        self._share: float | None = None

    def share(self) -> float | None:
        """Return the share that is used, as it was KNOWN_S ago at most; None where there is no limit."""
        if self._clock() >= self._known_until_s:
            found = self._connection.call("INFO", "memory")
            most, used = found.get("maxmemory"), found.get("used_memory")
            self._share = used / most if most and used is not None else None
            self._known_until_s = self._clock() + KNOWN_S
        return self._share

    def refuse_points(self) -> None:
        """Raise StoreFull where there is no room for step metrics: what is left is for runs."""
        share = self.share()
        if share is not None and share >= FULL_SHARE:
            raise StoreFull(
                f"Redis has used {share:.0%} of its maxmemory: step metrics are refused from "
                f"{FULL_SHARE:.0%} on, so that runs can still be queued and recorded. Raise maxmemory, or "
                "wait: old runs are being moved to the archive. Send them again later."
            )
