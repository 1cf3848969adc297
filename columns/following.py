"""A table that follows the store: it is read once, and then what has happened since, before each answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Sized
from typing import Final, Generic, Protocol, Self, TypeVar

from errors import StoreUnavailable
from schema.leaderboard import Changes

log = logging.getLogger(__name__)

# Longer than a hundred thousand runs take to be read for the first time on an idle machine is no use: the
# one who asks has gone.
WAIT_S: Final = 4.0
_RUNS_AT_ONCE: Final = 500
_RUNS_A_PART: Final = 5_000


class Identified(Protocol):
    """Anything about one run."""

    @property
    def run_id(self) -> str:
        """Its id."""


R = TypeVar("R", bound=Identified)
R_co = TypeVar("R_co", bound=Identified, covariant=True)
R_contra = TypeVar("R_contra", bound=Identified, contravariant=True)


class Source(Protocol[R_co]):
    """The part of the store that knows some kind of runs."""

    def read_cursor(self) -> str:
        """Return the place of the newest event."""

    def list_ids(self) -> Iterable[str]:
        """Return the runs there are, each at least once."""

    def find_many(self, run_ids: Sequence[str]) -> Sequence[R_co]:
        """Return those of the runs that are of that kind."""

    def list_changes(self, cursor: str) -> Changes | None:
        """Return what happened since; None where nobody knows any more."""


class Followed(Sized, Protocol[R_contra]):
    """A table of runs, as they were at one moment."""

    def changed(self, runs: Iterable[R_contra], gone: Iterable[str] = ()) -> Self:
        """Return the table with these runs, in place of those of their ids, and without what is gone."""


T = TypeVar("T", bound=Followed)  # type: ignore[type-arg] # of R, which a bound cannot say


class Following(Generic[R, T]):
    """Runs as this process knows them. Threads may share it.

    It reads all of them once, and then what the stream of events says has changed. When that does not reach
    back to where it stopped, as after an outage, a fail-over to a server that lost writes, or 10,000 events
    nobody read, it reads all of them again. So each of many processes is right by itself.
    """

    def __init__(
        self,
        source: Source[R],
        empty: Callable[[], T],
        *,
        kind: str,
        unannounced: Callable[[T], Collection[str]] = lambda _: (),
        every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet.

        kind: what is said of the runs, such as "finished runs". unannounced: those of a table that may have
        changed without an event; they are read again every_s.
        """
        self._source, self._empty, self._kind = source, empty, kind
        self._unannounced, self._every_s, self._clock = unannounced, every_s, clock
        self._changing = threading.Lock()
        self._table = empty()
        self._cursor: str | None = None
        self._looked_at_s = -every_s

    def refresh(self, *, wait_s: float = WAIT_S) -> T:
        """Return the table with all events before this call.

        Raises StoreUnavailable when Redis cannot be reached, and when runs are still being read by another
        thread after ``wait_s``.
        """
        if not self._changing.acquire(timeout=wait_s):
            raise StoreUnavailable(
                f"The {self._kind} are still being read, which takes some seconds when there are many. Try "
                "again in a moment."
            )
        try:
            self._refresh()
            return self._table
        finally:
            self._changing.release()

    def _refresh(self) -> None:
        changes = self._source.list_changes(self._cursor) if self._cursor is not None else None
        if changes is None:
            self._read_all()
            return
        changed, now_s = set(changes.run_ids), self._clock()
        is_due = now_s - self._looked_at_s >= self._every_s
        if is_due:
            changed.update(self._unannounced(self._table))
        if changed:
            runs = list(self._find(changed))
            self._table = self._table.changed(runs, changed - {run.run_id for run in runs})
        self._cursor = changes.cursor
        if is_due:
            self._looked_at_s = now_s

    def _read_all(self) -> None:
        """Read every run. Whatever changes meanwhile is an event behind the cursor."""
        cursor = self._source.read_cursor()
        table = self._empty()
        run_ids = list(dict.fromkeys(self._source.list_ids()))
        # In parts: as records, all of them at once would take ten times the memory of the table.
        for start in range(0, len(run_ids), _RUNS_A_PART):
            table = table.changed(self._find(run_ids[start : start + _RUNS_A_PART]))
        self._table, self._cursor = table, cursor
        log.info("read the %s runs=%d", self._kind, len(table))

    def _find(self, run_ids: Collection[str]) -> Iterator[R]:
        listed = list(run_ids)
        for start in range(0, len(listed), _RUNS_AT_ONCE):
            yield from self._source.find_many(listed[start : start + _RUNS_AT_ONCE])
