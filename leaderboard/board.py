"""The table of finished runs of one store, kept up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

from errors import StoreUnavailable
from leaderboard.ranking import Ranking, Wish
from leaderboard.seeds import SeedGroups
from leaderboard.table import Table
from schema.leaderboard import Changes, FinishedRun

log = logging.getLogger(__name__)

# Longer than a hundred thousand runs take to be read for the first time on an idle machine is no use: the
# one who asks has gone.
WAIT_S: Final = 4.0
_RUNS_AT_ONCE: Final = 500
_RUNS_A_PART: Final = 5_000
# So many different questions about one table are remembered.
_MOST_RANKINGS: Final = 32


class Finished(Protocol):
    """The part of the store that knows which runs are done."""

    def read_cursor(self) -> str:
        """Return the place of the newest event."""

    def list_ids(self) -> Iterable[str]:
        """Return the runs that are done, each at least once."""

    def find_many(self, run_ids: Sequence[str]) -> Sequence[FinishedRun]:
        """Return those of the runs that can be ranked."""

    def list_changes(self, cursor: str) -> Changes | None:
        """Return what happened since; None where nobody knows any more."""


class Store(Protocol):
    """The parts of the store that a board needs."""

    @property
    def finished(self) -> Finished:
        """The finished runs."""


class Board:
    """Finished runs as this process knows them. Threads may share it.

    It reads all of them once, and then what the stream of events says has changed. When that does not reach
    back to where it stopped, as after an outage, a fail-over to a server that lost writes, or 10,000 events
    nobody read, it reads all of them again. So each of many processes is right by itself.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changing = threading.Lock()
        self._table = Table.of()
        self._cursor: str | None = None
        self._asking = threading.Lock()
        self._rankings: dict[Wish, Ranking] = {}
        self._seeds: tuple[int, SeedGroups] | None = None

    def refresh(self, *, wait_s: float = WAIT_S) -> Table:
        """Return the table with all that happened before this call.

        Raises StoreUnavailable when Redis cannot be reached, and when runs are still being read by another
        thread after ``wait_s``.
        """
        if not self._changing.acquire(timeout=wait_s):
            raise StoreUnavailable(
                "The finished runs are still being read, which takes some seconds when there are many. Try "
                "again in a moment."
            )
        try:
            self._refresh()
            return self._table
        finally:
            self._changing.release()

    def rank(self, wish: Wish) -> Ranking:
        """Return the runs a wish is about, as they are now."""
        table = self.refresh()
        with self._asking:
            known = self._rankings.get(wish)
            if known is not None and known.table is table:
                return known
            self._rankings = {
                other: ranking for other, ranking in self._rankings.items() if ranking.table is table
            }
            if len(self._rankings) >= _MOST_RANKINGS:
                del self._rankings[next(iter(self._rankings))]
            self._rankings[wish] = ranking = Ranking(table, wish)
            return ranking

    def seeds(self, table: Table) -> SeedGroups:
        """Return the configurations of a table."""
        known = self._seeds
        if known is None or known[0] != table.version:
            self._seeds = known = (table.version, SeedGroups(table))
        return known[1]

    def _refresh(self) -> None:
        changes = self._store.finished.list_changes(self._cursor) if self._cursor is not None else None
        if changes is None:
            self._read_all()
        elif changes.run_ids:
            self._table = self._look_at(self._table, changes.run_ids)
            self._cursor = changes.cursor
        else:
            self._cursor = changes.cursor

    def _read_all(self) -> None:
        """Read every finished run. Whatever changes meanwhile is an event behind the cursor."""
        finished = self._store.finished
        cursor = finished.read_cursor()
        table = Table.of()
        run_ids = list(dict.fromkeys(finished.list_ids()))
        # In parts: as records, all of them at once would take ten times the memory of the table.
        for start in range(0, len(run_ids), _RUNS_A_PART):
            table = table.changed(self._find(run_ids[start : start + _RUNS_A_PART]))
        self._table, self._cursor = table, cursor
        log.info("read the finished runs runs=%d", len(table))

    def _look_at(self, table: Table, run_ids: Collection[str]) -> Table:
        runs = list(self._find(run_ids))
        return table.changed(runs, set(run_ids) - {run.run_id for run in runs})

    def _find(self, run_ids: Collection[str]) -> Iterator[FinishedRun]:
        listed = list(run_ids)
        for start in range(0, len(listed), _RUNS_AT_ONCE):
            yield from self._store.finished.find_many(listed[start : start + _RUNS_AT_ONCE])
