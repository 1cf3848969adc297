"""Histograms on their way to the server: kept in a journal of the session before the call returns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training_monitor.errors import MonitorError
from training_monitor.journal import Journal
from training_monitor.wire import pack_text

NAME: Final = "histograms"
# While the disk takes none.
_MOST_ASIDE: Final = 1_000


class HistogramLog:
    """Takes histograms from any thread, also within a signal handler; a kill keeps what was taken."""

    def __init__(self, session: Path, *, most_bytes: int) -> None:
        """Take the session's folder, and what a process has left there."""
        self.journal = Journal(session, NAME)
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._aside: deque[bytes] = deque()

    def add(self, histogram: Mapping[str, Any]) -> None:
        """Keep one. Raises MonitorError when the spool is full, OSError when the disk fails."""
        if self.journal.size() > self._most_bytes:
            raise MonitorError("The spool is full (WATTLE_SPOOL_MIB); this histogram is lost.")
        if len(self._aside) >= _MOST_ASIDE:
            raise MonitorError("The disk of the spool takes nothing; this histogram is lost.")
        self._aside.append(pack_text(histogram))
        self.keep()

    def keep(self) -> None:
        """Put into the journal what is not there, unless another call is doing so. Raises OSError."""
        # Only tried: a signal handler must not wait for the call that it came into.
        while self._aside and self._lock.acquire(blocking=False):
            try:
                self._append()
            finally:
                self._lock.release()

    def _append(self) -> None:
        while self._aside:
            self.journal.append(self._aside[0])
            self._aside.popleft()

    @property
    def is_kept(self) -> bool:
        """Whether all that was taken is in the journal."""
        return not self._aside

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, batches aside of which the last may be unanswered."""
        return self.is_kept and self.journal.is_empty

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()
