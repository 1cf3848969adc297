"""What the runs of one configuration, which differ in their seeds alone, achieved and cost."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from leaderboard.ranking import is_mixed
from leaderboard.table import Places, Table
from schema.leaderboard import SeedGroup, Spread

_FIGURES: Final = ("accuracy", "energy_kwh", "co2_g", "duration_s")
# A key is shown without a sign.
_ALL_BITS: Final = 2**64 - 1


class SeedGroups:
    """The configurations of a table; which runs each has is found once for all."""

    def __init__(self, table: Table) -> None:
        self._table = table
        keys = table.columns["configuration"]
        self._by_key: Places = np.argsort(keys, kind="stable")
        self._keys = keys[self._by_key]

    def list_of(self, places: Places) -> list[SeedGroup | None]:
        """Return the group of each run; None where it is the only one of its configuration.

        All finished runs of it count, ranked or not: leaving out those of bad luck would flatter it.
        """
        keys = self._table.columns["configuration"][places]
        first, last = (np.searchsorted(self._keys, keys, side=side) for side in ("left", "right"))
        known: dict[int, SeedGroup] = {}
        for key, start, end in zip(keys.tolist(), first.tolist(), last.tolist(), strict=True):
            if end - start > 1 and key not in known:
                known[key] = self._group(key, self._by_key[start:end])
        return [known.get(key) for key in keys.tolist()]

    def _group(self, key: int, members: Places) -> SeedGroup:
        values: dict[str, Any] = {name: self._spread(name, members) for name in _FIGURES}
        values |= {"key": f"{key & _ALL_BITS:016x}", "runs": len(members)}
        return SeedGroup.model_construct(**values, is_mixed=is_mixed(self._table, members))

    def _spread(self, name: str, members: Places) -> Spread | None:
        values = self._table.columns[name][members]
        values = np.sort(values[~np.isnan(values)])
        if not len(values):
            return None
        middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        return Spread.model_construct(
            n=len(values), median=float(middle), low=float(values[0]), high=float(values[-1])
        )
