"""The table of all runs of one store, kept up to date, and what a search finds in it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from catalog.matching import match
from catalog.paging import Listing, Order
from catalog.table import Mask, Table
from errors import StoreUnavailable
from schema import SortField, Status
from schema.leaderboard import Changes
from schema.listed import ListedRun
from schema.search import parse

log = logging.getLogger(__name__)

# As long as a ranking waits for the finished runs: whoever asks has gone after that.
WAIT_S: Final = 4.0
# What a running run says between two epochs is no event; so long it may be unknown here.
RUNNING_S: Final = 1.0
_RUNS_AT_ONCE: Final = 500
_RUNS_A_PART: Final = 5_000


class ListedRuns(Protocol):
    """The part of the store that knows all runs."""

    def read_cursor(self) -> str:
        """Return the place of the newest event."""

    def list_ids(self) -> Iterable[str]:
        """Return the runs there are, each at least once."""

    def find_many(self, run_ids: Sequence[str]) -> Sequence[ListedRun]:
        """Return those of the runs that exist."""

    def list_changes(self, cursor: str) -> Changes | None:
        """Return what happened since; None where nobody knows any more."""


class Store(Protocol):
    """The parts of the store that a catalog needs."""

    @property
    def listed(self) -> ListedRuns:
        """All runs."""


@dataclass(frozen=True)
class Wanted:
    """Which runs are looked for; all of what is said has to be met."""

    query: str = ""
    status: Status | None = None
    project: str | None = None
    name: str | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """All of it as texts."""
        return (self.query, self.status or "", repr(self.project), repr(self.name))


class Found(NamedTuple):
    """A page of what a search found."""

    run_ids: list[str]
    cursor: str | None
    total: int
    counts: dict[Status, int]
    """All runs by status, found or not."""


class Catalog:
    """All runs as this process knows them. Threads may share it.

    Like the board of the leaderboard it reads all of them once, and then what the stream of events says has
    changed; where that does not reach back far enough, all of them again.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._changing = threading.Lock()
        self._table = Table.of()
        self._cursor: str | None = None
        self._running_at_s = -RUNNING_S

    def find(
        self,
        wanted: Wanted,
        sort: SortField = SortField.TIME_ADDED,
        *,
        order: Order = "desc",
        limit: int | None = None,
        cursor: str | None = None,
        params: Iterable[str] = (),
    ) -> Found:
        """Return a page of the runs that are wanted, or without a limit all of them.

        params: hyperparameters that are known, whether any run has them or not. Raises InvalidInput on a
        query that does not read, a field that is not known, and a cursor of another list.
        """
        search = parse(wanted.query)
        listing = Listing(sort, order, wanted.filters)
        place = listing.decode_cursor(cursor) if cursor else None
        table = self.refresh()
        found = np.flatnonzero(match(table, search, params=params) & _meets_filters(table, wanted))
        places, ranks = listing.arrange(table, found, place)
        shown = places if limit is None else places[:limit]
        is_last = len(shown) == len(places)
        return Found(
            run_ids=table.ids(shown),
            cursor=None if is_last else listing.encode_cursor(ranks, len(shown) - 1),
            total=len(found),
            counts=_count(table),
        )

    def refresh(self, *, wait_s: float = WAIT_S) -> Table:
        """Return the table with all events before this call.

        Raises StoreUnavailable when Redis cannot be reached, and when runs are still being read by another
        thread after ``wait_s``.
        """
        if not self._changing.acquire(timeout=wait_s):
            raise StoreUnavailable(
                "The runs are still being read, which takes some seconds when there are many. Try again in a "
                "moment."
            )
        try:
            self._refresh()
            return self._table
        finally:
            self._changing.release()

    def _refresh(self) -> None:
        listed = self._store.listed
        changes = listed.list_changes(self._cursor) if self._cursor is not None else None
        if changes is None:
            self._read_all()
            return
        changed, now_s = set(changes.run_ids), self._clock()
        is_due = now_s - self._running_at_s >= RUNNING_S
        if is_due:
            changed |= self._list_running()
        if changed:
            self._table = self._look_at(self._table, changed)
        self._cursor = changes.cursor
        if is_due:
            self._running_at_s = now_s

    def _list_running(self) -> set[str]:
        is_running = self._table.coded("status").equals(Status.RUNNING)
        return set(self._table.ids(np.flatnonzero(is_running)))

    def _read_all(self) -> None:
        """Read every run. Whatever changes meanwhile is an event behind the cursor."""
        listed = self._store.listed
        cursor = listed.read_cursor()
        table = Table.of()
        run_ids = list(dict.fromkeys(listed.list_ids()))
        for start in range(0, len(run_ids), _RUNS_A_PART):
            table = table.changed(self._find(run_ids[start : start + _RUNS_A_PART]))
        self._table, self._cursor = table, cursor
        log.info("read the runs runs=%d", len(table))

    def _look_at(self, table: Table, run_ids: Collection[str]) -> Table:
        runs = list(self._find(run_ids))
        return table.changed(runs, set(run_ids) - {run.run_id for run in runs})

    def _find(self, run_ids: Collection[str]) -> Iterator[ListedRun]:
        ids = list(run_ids)
        for start in range(0, len(ids), _RUNS_AT_ONCE):
            yield from self._store.listed.find_many(ids[start : start + _RUNS_AT_ONCE])


def _meets_filters(table: Table, wanted: Wanted) -> Mask:
    met: Mask = np.ones(len(table), dtype=bool)
    for name, value in (("status", wanted.status), ("project", wanted.project), ("name", wanted.name)):
        if value is not None:
            met &= table.coded(name).equals(value)
    return met


def _count(table: Table) -> dict[Status, int]:
    coded = table.coded("status")
    counts = np.bincount(coded.numbers, minlength=len(Status)).tolist()
    return {status: counts[code] if (code := coded.codes.find(status)) >= 0 else 0 for status in Status}
