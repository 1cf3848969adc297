"""The order of what a search found, the same as that of the list of runs, and its pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalog.table import Table
from columns.ids import Column, Places
from errors import FieldError, InvalidInput
from schema import SortField

Order = Literal["asc", "desc"]
_VALUES: Final = tuple(field.value for field in SortField if field is not SortField.TIME_ADDED)
_SIMULATED: Final = 3
_ID_CHARACTERS: Final = 64


class Place(NamedTuple):
    """Behind a run, in the order of a list."""

    tier: int
    score: float
    run_id: str


class Ranks(NamedTuple):
    """By what runs are ordered, one after the other: tiers always go up."""

    tiers: NDArray[np.int8]
    scores: Column
    run_ids: NDArray[np.bytes_]

    def of(self, chosen: Column) -> Ranks:
        """Return those of some of the runs, by their places or a mask."""
        return Ranks(self.tiers[chosen], self.scores[chosen], self.run_ids[chosen])


@dataclass(frozen=True)
class Listing:
    """Which list is walked; a cursor is good for the list that gave it only."""

    sort: SortField
    order: Order
    filters: tuple[str, ...]
    """The query and whatever else the runs had to meet."""

    def arrange(self, table: Table, found: Places, place: Place | None) -> tuple[Places, Ranks]:
        """Return those of the runs that come behind a place, in their order, and all by what they come so.

        found: as they are in the table.
        """
        ranks = self._rank(table, found)
        if place is not None:
            is_behind = self._is_behind(ranks, place)
            found, ranks = found[is_behind], ranks.of(is_behind)
        # Runs of one score stay in the order of the table, which is that of their ids.
        order = np.argsort(ranks.scores, kind="stable")
        if self.order == "desc":
            order = order[::-1]
        order = order[np.argsort(ranks.tiers[order], kind="stable")]
        return found[order], ranks.of(order)

    def encode_cursor(self, ranks: Ranks, last: int) -> str:
        """Write the place behind a run."""
        run_id = ranks.run_ids[last].decode("ascii")
        name = [*self._name(), int(ranks.tiers[last]), float(ranks.scores[last]), run_id]
        text = json.dumps(name, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def decode_cursor(self, cursor: str) -> Place:
        """Read a place. Raises InvalidInput on anything this list did not give out."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            text = base64.b64decode(padded, altchars=b"-_", validate=True)
            *name, tier, score, run_id = json.loads(text)
            is_place = type(tier) is int and type(score) is float and math.isfinite(score)
            if name != self._name() or not is_place or len(run_id) > _ID_CHARACTERS or not run_id.isascii():
                raise ValueError("a cursor of another list")
            return Place(tier, score, run_id)
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise InvalidInput(
                "The cursor does not belong to this list. Start again without one, and keep sort, order and "
                "the filters the same from page to page.",
                details=[FieldError("cursor", "does not belong to this list")],
            ) from error

    def _name(self) -> list[str]:
        filters = json.dumps(self.filters).encode("utf-8", "replace")
        return [self.sort.value, self.order, hashlib.blake2b(filters, digest_size=9).hexdigest()]

    def _rank(self, table: Table, found: Places) -> Ranks:
        run_ids, added = table.run_ids[found], table.column("added")[found]
        if self.sort is SortField.TIME_ADDED:
            return Ranks(np.zeros(len(found), dtype=np.int8), added, run_ids)
        values = table.column(self.sort.value)[found]
        is_blank = np.all([np.isnan(table.column(name)[found]) for name in _VALUES], axis=0)
        is_unknown = np.isnan(values)
        tiers = is_unknown.astype(np.int8) + is_blank + _SIMULATED * table.column("simulated")[found]
        scores = np.where(is_blank, added, np.where(is_unknown, 0.0, values))
        return Ranks(tiers.astype(np.int8), scores, run_ids)

    def _is_behind(self, ranks: Ranks, place: Place) -> NDArray[np.bool_]:
        tiers, scores, run_ids = ranks
        run_id = np.bytes_(place.run_id.encode("ascii"))
        if self.order == "asc":
            further, further_id = scores > place.score, run_ids > run_id
        else:
            further, further_id = scores < place.score, run_ids < run_id
        is_behind: NDArray[np.bool_] = (tiers > place.tier) | (
            (tiers == place.tier) & (further | ((scores == place.score) & further_id))
        )
        return is_behind
