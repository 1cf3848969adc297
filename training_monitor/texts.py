"""Lines and acts as a program gives them: rare, and never waited for."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from training_monitor.window import Window
from training_monitor.wire import pack_text

log = logging.getLogger(__name__)

_MOST_ASIDE: Final = 10_000


class TextLog:
    """Takes messages from any thread; a kill keeps those for which there was room in the window."""

    def __init__(self, window: Window, *, ring: Callable[[], object]) -> None:
        """Take the window; ring is called when someone should come and empty it."""
        self._window, self._ring = window, ring
        self._aside: deque[bytes] = deque()
        self.lost = 0

    def add(self, message: Mapping[str, Any]) -> None:
        """Take a message."""
        data = pack_text(message)
        # After one that went aside the next must not overtake it.
        if not self._aside and self._window.lock.acquire(blocking=False):
            try:
                if self._window.put(data):
                    return
            finally:
                self._window.lock.release()
        self._ring()
        if len(self._aside) < _MOST_ASIDE:
            self._aside.append(data)
        else:
            self.lost += 1

    def take_aside(self) -> bytes:
        """Return what found no room, and forget it."""
        return b"".join(self._aside.popleft() for _ in range(len(self._aside)))
