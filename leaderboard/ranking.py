"""Which runs are ranked, in which order, and who is on which Pareto front."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Final, Literal, TypeAlias

import numpy as np

from columns.ids import Ids, Places
from leaderboard.pareto import Floats, Mask, find_front
from leaderboard.table import CODED, Table
from schema.leaderboard import CostField, RankField

Order: TypeAlias = Literal["asc", "desc"]
Per: TypeAlias = Literal["network", "all"]

# How far below the best accuracy runs are still worth a look, unless somebody says so.
WORTH_A_LOOK: Final = 0.02
_DESCENDING: Final = (RankField.ACCURACY_PER_KWH, RankField.ACCURACY, RankField.ENDED_AT)
_COLUMNS: Final = {RankField.ENDED_AT: "ended_at_s"}


@dataclass(frozen=True)
class Wish:
    """What somebody wants to see; what is None is chosen by what there is."""

    dataset: str | None = None
    """An empty one means the runs that name none."""
    network: str | None = None
    device: str | None = None
    project: str | None = None
    tag: str | None = None
    min_accuracy: float | None = None
    include_simulated: bool | None = None
    per: Per = "all"
    sort: RankField = RankField.ACCURACY_PER_KWH
    order: Order | None = None

    @property
    def effective_order(self) -> Order:
        """The order with the default filled in: the best, the newest or the first name at the top."""
        return self.order or ("desc" if self.sort in _DESCENDING else "asc")


@dataclass(frozen=True)
class Ranking:
    """The runs of a table that a wish is about.

    Real runs come before simulated ones whatever the order, in each kind those without a value last, and
    equal ones by their ids.
    """

    table: Table
    wish: Wish
    chosen: Ids | None = None
    """Which runs take part, in any order; None for all of the table."""

    @cached_property
    def has_real(self) -> bool:
        """True when any run of the table is not simulated."""
        return not bool(self.table.columns["simulated"].all())

    @cached_property
    def include_simulated(self) -> bool:
        """Whether simulated runs take part; where nothing is said, only while there is no other."""
        wished = self.wish.include_simulated
        return not self.has_real if wished is None else wished

    @cached_property
    def dataset(self) -> str | None:
        """The one dataset whose runs are ranked; where nothing is said, that of most runs."""
        if self.wish.dataset is not None:
            return self.wish.dataset or None
        leading = self._eligible[self._is_leading(self._eligible)]
        counted = self._count("dataset", leading)
        return counted[0][0] if counted else None

    @cached_property
    def best_accuracy(self) -> float | None:
        """The best there is, of real runs where there are some."""
        found = self._of_dataset
        found = found[self._is_leading(found)]
        return float(self.table.columns["accuracy"][found].max()) if len(found) else None

    @cached_property
    def min_accuracy(self) -> float:
        """What a run has to reach."""
        if self.wish.min_accuracy is not None:
            return self.wish.min_accuracy
        # Without the noise of subtracting: a run that is two points below is within two points.
        return 0.0 if self.best_accuracy is None else max(0.0, round(self.best_accuracy - WORTH_A_LOOK, 12))

    @cached_property
    def worthy(self) -> Places:
        """The runs that are accurate enough, by id."""
        found = self._of_dataset
        worthy: Places = found[self.table.columns["accuracy"][found] >= self.min_accuracy]
        return worthy

    @cached_property
    def ranked(self) -> Places:
        """The runs in their order, the best of each network alone where that is wished."""
        order = self.worthy[np.argsort(self._sort_values(self.worthy), kind="stable")]
        simulated = self.table.columns["simulated"][order]
        order = np.concatenate([order[~simulated], order[simulated]])
        if self.wish.per == "all":
            return order
        networks = self.table.columns["network"][order]
        is_first = networks == self.table.codes["network"].find(None)
        is_first[np.unique(networks, return_index=True)[1]] = True
        firsts: Places = order[is_first]
        return firsts

    @cached_property
    def is_mixed(self) -> bool:
        """True when measured and other energy of real runs stand beside each other."""
        columns, places = self.table.columns, self.worthy
        is_known = ~np.isnan(columns["energy_kwh"][places]) & ~columns["simulated"][places]
        measured = self.table.codes["energy_quality"].find("measured")
        is_measured = columns["energy_quality"][places][is_known] == measured
        return bool(is_measured.any() and not is_measured.all())

    def front(self, cost: CostField) -> Mask:
        """Tell for each of the worthy whether it is on a front: real runs and simulated ones apart.

        A limit of accuracy takes nobody onto a front or off it: only who is as accurate can outdo a run.
        """
        if cost not in self._fronts:
            accuracy, costs = (self.table.columns[name][self.worthy] for name in ("accuracy", cost.value))
            simulated = self.table.columns["simulated"][self.worthy]
            front = np.zeros(len(self.worthy), dtype=bool)
            for kind in (simulated, ~simulated):
                front[kind] = find_front(accuracy[kind], costs[kind])
            self._fronts[cost] = front
        return self._fronts[cost]

    def leading_front(self, cost: CostField) -> Places:
        """Return the runs of a front, cheapest first: real ones, or simulated ones where that is all."""
        found = self.worthy[self.front(cost)]
        found = found[self._is_leading(found)]
        values = self.table.columns
        return found[np.lexsort((values["accuracy"][found], values[cost.value][found]))]

    def count(self, name: str) -> list[tuple[str | None, int]]:
        """Count the runs by what they have in a column, most first.

        Those of datasets are of all that fit the rest of the wish, the others of the dataset.
        """
        return self._count(name, self._eligible if name == "dataset" else self._of_its_dataset)

    def _count(self, name: str, places: Places) -> list[tuple[str | None, int]]:
        counts = np.bincount(self.table.columns[name][places])
        known = self.table.codes[name].values
        found = [(known[code], int(counts[code])) for code in np.flatnonzero(counts)]
        return sorted(found, key=lambda pair: (-pair[1], pair[0] is None, pair[0] or ""))

    def place_after(self, simulated: bool, value: float | str | None, run_id: str) -> int:
        """Return how many of the ranked come before or at a run, also when that is no longer there."""
        key = np.nan if value is None else self._sort_key(value)
        places = self.ranked
        found, kinds = self._sort_values(places), self.table.columns["simulated"][places]
        is_equal = np.isnan(found) if np.isnan(key) else found == key
        is_less = ~np.isnan(found) if np.isnan(key) else found < key
        by_id = is_equal & (self.table.run_ids[places] <= run_id.encode("ascii"))
        return int(np.count_nonzero((kinds < simulated) | ((kinds == simulated) & (is_less | by_id))))

    def sort_value(self, place: int) -> float | str | None:
        """Return what a run is ranked by, None where that is not known."""
        found = self.table.values(_column_of(self.wish.sort), np.array([place]))[0]
        return found if found is None or isinstance(found, str) else float(found)

    def is_sort_value(self, value: object) -> bool:
        """Tell whether runs can be ranked by such a value: a text, or a finite number."""
        if _column_of(self.wish.sort) in CODED:
            return isinstance(value, str)
        return isinstance(value, float) and isfinite(value)

    @cached_property
    def _fronts(self) -> dict[CostField, Mask]:
        return {}

    @cached_property
    def _eligible(self) -> Places:
        """The runs that fit what is wished but for dataset, network and device."""
        columns, codes = self.table.columns, self.table.codes
        kept = np.ones(len(self.table), dtype=bool)
        if not self.include_simulated:
            kept &= ~columns["simulated"]
        if self.wish.project is not None:
            kept &= columns["project"] == codes["project"].find(self.wish.project)
        if self.wish.tag is not None:
            has_tag = np.array([self.wish.tag in tags for tags in codes["tags"].values], dtype=bool)
            kept &= has_tag[columns["tags"]]
        if self.chosen is not None:
            kept &= np.isin(self.table.run_ids, self.chosen)
        return np.flatnonzero(kept)

    @cached_property
    def _of_its_dataset(self) -> Places:
        return self._keep(self._eligible, "dataset", self.dataset)

    @cached_property
    def _of_dataset(self) -> Places:
        found = self._of_its_dataset
        for name, wished in (("network", self.wish.network), ("device", self.wish.device)):
            if wished is not None:
                found = self._keep(found, name, wished or None)
        return found

    def _keep(self, places: Places, name: str, value: str | None) -> Places:
        kept: Places = places[self.table.columns[name][places] == self.table.codes[name].find(value)]
        return kept

    def _is_leading(self, places: Places) -> Mask:
        """Tell which of the runs are real; all of them where none is."""
        real = ~self.table.columns["simulated"][places]
        return real if real.any() else ~real

    def _sort_values(self, places: Places) -> Floats:
        """Return numbers that put runs in their order from the lowest on; NaN where it is not known."""
        name = _column_of(self.wish.sort)
        column = self.table.columns[name][places]
        if name in CODED:
            # Another table may add texts meanwhile; no run of this one has them.
            ranks = [self._texts.index_of.get(text, np.nan) for text in self.table.codes[name].values]
            column = np.array(ranks, dtype=np.float64)[column]
        return np.asarray(-column if self.wish.effective_order == "desc" else column, dtype=np.float64)

    def _sort_key(self, value: float | str) -> float:
        if isinstance(value, str):
            value = self._texts.place_of(value)
        return -value if self.wish.effective_order == "desc" else value

    @cached_property
    def _texts(self) -> _SortedTexts:
        return _SortedTexts(self.table.codes[_column_of(self.wish.sort)].values)


class _SortedTexts:
    """Texts by the alphabet."""

    def __init__(self, texts: Iterable[str | None]) -> None:
        self._sorted: Sequence[str] = sorted(text for text in texts if text is not None)
        self.index_of = {text: index for index, text in enumerate(self._sorted)}

    def place_of(self, text: str) -> float:
        """Return the place of a text, between two others where it is not among them."""
        return self.index_of.get(text, bisect_left(self._sorted, text) - 0.5)


def _column_of(field: RankField) -> str:
    return _COLUMNS.get(field, field.value)
