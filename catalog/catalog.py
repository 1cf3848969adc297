"""The table of all runs of one store, kept up to date, and what a search finds in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from catalog.matching import match
from catalog.paging import Listing, Order
from catalog.table import Table
from columns.codes import Mask
from columns.following import WAIT_S, Following, Source
from schema import SortField, Status
from schema.listed import ListedRun
from schema.search import parse

# What a running run says between two epochs is no event; so long it may be unknown here.
RUNNING_S: Final = 1.0


class Store(Protocol):
    """The part of the store that a catalog needs."""

    @property
    def listed(self) -> Source[ListedRun]:
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
    """All runs as this process knows them. Threads may share it."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._following = Following(
            store.listed, Table.of, kind="runs", unannounced=_list_running, every_s=RUNNING_S, clock=clock
        )

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
        return self._following.refresh(wait_s=wait_s)


def _list_running(table: Table) -> list[str]:
    return table.ids(np.flatnonzero(table.coded("status").equals(Status.RUNNING)))


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
