"""The table of finished runs of one store, kept up to date."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, Protocol

from columns.following import WAIT_S, Following, Source
from columns.ids import as_ids
from leaderboard.ranking import Ranking, Wish
from leaderboard.seeds import SeedGroups
from leaderboard.table import Table
from schema.leaderboard import FinishedRun

# So many different questions about one table are remembered.
_MOST_RANKINGS: Final = 32


class Store(Protocol):
    """The part of the store that a board needs."""

    @property
    def finished(self) -> Source[FinishedRun]:
        """The runs that are done and can be ranked."""


class Board:
    """Finished runs as this process knows them, and what is asked of them. Threads may share it."""

    def __init__(self, store: Store) -> None:
        self._following = Following(store.finished, Table.of, kind="finished runs")
        self._asking = threading.Lock()
        self._rankings: dict[Wish, Ranking] = {}
        self._seeds: tuple[int, SeedGroups] | None = None

    def refresh(self, *, wait_s: float = WAIT_S) -> Table:
        """Return the table with all that happened before this call.

        Raises StoreUnavailable when Redis cannot be reached, and when runs are still being read by another
        thread after ``wait_s``.
        """
        return self._following.refresh(wait_s=wait_s)

    def rank(self, wish: Wish, run_ids: Sequence[str] | None = None) -> Ranking:
        """Return the runs a wish is about, as they are now. run_ids: of these alone, in any order."""
        table = self.refresh()
        if run_ids is not None:
            return Ranking(table, wish, as_ids(run_ids))
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
