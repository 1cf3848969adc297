"""The lock of one round of archiving: nobody else begins one while this one gets on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from errors import Conflict
from schema.archive import ArchiveRound, ArchivingRuns

# Whoever archives says so every second; so long after it was killed somebody else goes on.
LOCK_S: Final = 30.0
# A round that got nowhere for so long no longer says so: its database hangs, another one's may not.
STUCK_S: Final = 600.0
# How often it is noted how far a round is.
_NOTE_EVERY_S: Final = 1.0


class Keeping:
    """The lock of one round: it keeps and frees no other one's, however late it comes. Threads share it."""

    def __init__(self, archiving: ArchivingRuns, clock: Callable[[], float]) -> None:
        self._archiving = archiving
        self._clock = clock
        self._owner = uuid4().hex
        self._guard = threading.Lock()
        self._is_over = False
        self._noted_s = 0.0
        self.begun_s = self._progress_s = clock()
        self.so_far = ArchiveRound(begun_at=to_time(self.begun_s), moved=0, left=0)

    def take(self) -> bool:
        """Tell whether this round has the lock from now on; False while another one has it."""
        return self._archiving.lead(self._owner, ttl_s=LOCK_S)

    def keep(self) -> None:
        """Say that the round goes on, unless it is over, or got nowhere for long."""
        with self._guard:
            if not self._is_over and self._clock() - self._progress_s < STUCK_S:
                self.take()

    def note(self, so_far: ArchiveRound) -> None:
        """Note how far the round is. Raises Conflict where another one goes on by now."""
        self.so_far = so_far
        self._progress_s = now_s = self._clock()
        if not self.take():
            raise Conflict("This round hung for so long that another program archives by now.")
        if not 0 <= now_s - self._noted_s < _NOTE_EVERY_S:
            self._noted_s = now_s
            self._archiving.note_facts({"under_way": so_far.model_dump_json()})

    def close(self) -> None:
        """Let others begin the next round; from now on nobody here keeps them from it."""
        with self._guard:
            self._is_over = True
            self._archiving.lead(self._owner, ttl_s=0.001)


def to_time(now_s: float) -> datetime:
    """Return a Unix time as one that knows its zone."""
    return datetime.fromtimestamp(now_s, UTC)
