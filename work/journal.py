"""The writes of one attempt, in their order; an unreachable Redis only delays them.

A finish that leaves work on files is in the spool before it is made, and until ``discard``: a worker that
dies between the two leaves that work to the next one.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable

from errors import StoreUnavailable, WattleError
from redis_db import RedisDB
from schema import Lease
from work.spool import Spool
from work.writes import FinishWrite, LinesWrite, Write, make

log = logging.getLogger(__name__)

LINES_AT_ONCE = 500
# The store keeps no more of a run.
MOST_LINES = 10_000

# Told points that were written, of power or of usage, and the interval of the next ones.
OnInterval = Callable[[Write, float], None]


class Journal:
    """Makes writes in order, each at least once; while Redis is away they wait in memory and in the spool."""

    def __init__(self, db: RedisDB, lease: Lease, spool: Spool, *, on_interval: OnInterval) -> None:
        self._db = db
        self._lease = lease
        self._spool = spool
        self._on_interval = on_interval
        self._writes: deque[Write] = deque()
        self._is_away = self._has_files = False
        self._waiting_lines = self._spooled_lines = self._lost_lines = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._writes

    def add(self, write: Write) -> None:
        """Queue a write. Of lines the newest MOST_LINES wait, and the spool has the oldest as many."""
        if isinstance(write, LinesWrite):
            write = self._make_room(write)
        self._writes.append(write)
        if isinstance(write, FinishWrite):
            self._has_files = write.has_saved_models
        if self._spool.is_open:
            self._keep([write])
        elif self._has_files:
            self._open_spool()

    def flush(self, *, budget_s: float = 0.5) -> bool:
        """Make what is waiting, in order, for about ``budget_s``; False while some still wait.

        Raises LeaseLost when the run belongs to another attempt by now. Another refusal is raised, too, and
        the refused write is dropped: it would be refused for ever.
        """
        give_up_s = time.monotonic() + budget_s
        try:
            while self._writes and time.monotonic() < give_up_s:
                self._make_next()
        except StoreUnavailable as error:
            self._note_away(str(error))
            return False
        if self._is_away:
            log.info("Redis is back run_id=%s", self._lease.run_id)
        self._is_away = False
        if not self._writes and not self._has_files:
            self._spool.discard()
        return not self._writes

    def set_aside(self) -> None:
        """Put what waits into the spool without a try: Redis is known not to answer."""
        self._note_away("it does not answer")

    def discard(self) -> None:
        """Forget everything: the run is another worker's, or all is done."""
        self._writes.clear()
        self._waiting_lines = 0
        self._spool.discard()

    def _make_next(self) -> None:
        write, count = self._gather()
        if is_after_lost := isinstance(write, LinesWrite) and self._lost_lines > 0:
            lost = f"(Before these, {self._lost_lines} lines were too many to keep while Redis was away.)"
            write = LinesWrite(lines=(lost, *write.lines))
        try:
            interval_s = make(write, self._db, self._lease)
        except StoreUnavailable:
            raise
        except WattleError:
            self._drop(count)
            raise
        self._drop(count)
        if is_after_lost:
            self._lost_lines = 0
        if interval_s is not None:
            self._on_interval(write, interval_s)

    def _gather(self) -> tuple[Write, int]:
        """Return the next write, and how many of those that wait are in it: lines travel together."""
        first = self._writes[0]
        if not isinstance(first, LinesWrite):
            return first, 1
        lines: list[str] = []
        count = 0
        for write in self._writes:
            if not isinstance(write, LinesWrite) or len(lines) >= LINES_AT_ONCE:
                break
            lines += write.lines
            count += 1
        return LinesWrite(lines=tuple(lines)), count

    def _drop(self, count: int) -> None:
        for _ in range(count):
            write = self._writes.popleft()
            if isinstance(write, LinesWrite):
                self._waiting_lines -= len(write.lines)

    def _make_room(self, write: LinesWrite) -> LinesWrite:
        """Drop the oldest lines, where there are too many with these; return those of these to keep."""
        lines = write.lines[-MOST_LINES:]
        self._lost_lines += len(write.lines) - len(lines)
        while self._waiting_lines + len(lines) > MOST_LINES:
            index, oldest = next(
                (index, waiting)
                for index, waiting in enumerate(self._writes)
                if isinstance(waiting, LinesWrite)
            )
            del self._writes[index]
            self._waiting_lines -= len(oldest.lines)
            self._lost_lines += len(oldest.lines)
        self._waiting_lines += len(lines)
        return LinesWrite(lines=lines)

    def _keep(self, writes: Iterable[Write]) -> None:
        """Add to the spool, but for lines where there are enough."""
        kept = []
        for write in writes:
            if isinstance(write, LinesWrite):
                if self._spooled_lines >= MOST_LINES:
                    continue
                self._spooled_lines += len(write.lines)
            kept.append(write)
        if kept:
            self._spool.add(kept)

    def _note_away(self, reason: str) -> None:
        if not self._is_away:
            log.warning(
                "Redis is away, %d writes wait run_id=%s: %s", len(self._writes), self._lease.run_id, reason
            )
        self._is_away = True
        if not self._spool.is_open:
            self._open_spool()

    def _open_spool(self) -> None:
        """Put all that waits into the spool."""
        self._spooled_lines = 0
        self._keep(self._writes)
