"""What the runs of one configuration, which differ in their seeds alone, achieved and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from columns.ids import Places
from leaderboard.table import Table

_FIGURES: Final = ("accuracy", "energy_kwh", "co2_g", "duration_s")
# A key is shown without a sign.
_ALL_BITS: Final = 2**64 - 1

Group = dict[str, Any]


class SeedGroups:
    """The configurations of a table; which runs each has is found once for all."""

    def __init__(self, table: Table) -> None:
        self._table = table
        keys = table.columns["configuration"]
        self._by_key: Places = np.argsort(keys, kind="stable")
        self._keys = keys[self._by_key]

    def list_of(self, places: Places) -> list[Group | None]:
        """Return the group of each run, the fields of a SeedGroup; None where it is alone.

        All finished runs of it count, ranked or not: leaving out those of bad luck would flatter it.
        """
        keys = self._table.columns["configuration"][places]
        wanted = np.unique(keys)
        firsts, lasts = (np.searchsorted(self._keys, wanted, side=side) for side in ("left", "right"))
        shared = lasts - firsts > 1
        wanted, firsts, lasts = wanted[shared], firsts[shared], lasts[shared]
        parts = [self._by_key[first:last] for first, last in zip(firsts, lasts, strict=True)]
        known = dict(zip(wanted.tolist(), self._groups(wanted.tolist(), parts), strict=True))
        return [known.get(key) for key in keys.tolist()]

    def _groups(self, keys: Sequence[int], parts: Sequence[Places]) -> list[Group]:
        """Return groups of these members; each column is read once for all of them."""
        if not parts:
            return []
        members = np.concatenate(parts)
        columns = {name: self._table.columns[name][members].tolist() for name in _FIGURES}
        measured = self._table.codes["energy_quality"].find("measured")
        is_measured = (self._table.columns["energy_quality"][members] == measured).tolist()
        groups, start = [], 0
        for key, part in zip(keys, parts, strict=True):
            own = slice(start, start := start + len(part))
            kinds = {
                kind
                for kind, kwh in zip(is_measured[own], columns["energy_kwh"][own], strict=True)
                if kwh == kwh
            }
            group: Group = {name: _spread(column[own]) for name, column in columns.items()}
            group |= {"key": f"{key & _ALL_BITS:016x}", "runs": len(part), "is_mixed": len(kinds) > 1}
            groups.append(group)
        return groups


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    known = sorted(value for value in values if value == value)
    if not known:
        return None
    middle = (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2
    return {"n": len(known), "median": middle, "low": known[0], "high": known[-1]}
