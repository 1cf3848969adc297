"""Finished runs by configuration: what the runs that differ in their seeds alone came to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from columns.ids import Column, Places
from leaderboard.pareto import Floats, Mask
from leaderboard.table import Table

FIGURES: Final = ("accuracy", "energy_kwh", "co2_g", "duration_s")
Fields = dict[str, Any]


@dataclass(frozen=True)
class Configurations:
    """The configurations of some runs of a table, by their keys; their figures are medians over seeds."""

    table: Table
    places: Places
    """The runs, all of each configuration."""

    def __len__(self) -> int:
        return len(self._starts)

    @cached_property
    def runs(self) -> Places:
        """How many runs each has."""
        return np.diff(np.append(self._starts, len(self.places)))

    @cached_property
    def medians(self) -> dict[str, Floats]:
        """What each came to in the middle of its runs that know it; NaN where none does."""
        return {name: self._median(name) for name in FIGURES}

    @cached_property
    def is_measured(self) -> Mask:
        """Which ones have measured energy in a run."""
        return self._any_energy(measured=True)

    @cached_property
    def is_otherwise(self) -> Mask:
        """Which ones have a run whose energy is known and not measured."""
        return self._any_energy(measured=False)

    @cached_property
    def typical(self) -> Places:
        """The place of the run of each whose accuracy is nearest to the median, the first id of such."""
        accuracy = self.table.columns["accuracy"][self._sorted]
        firsts = np.zeros(len(self), dtype=np.intp)
        for numbers, members in self._by_size():
            distance = np.abs(accuracy[members] - self.medians["accuracy"][numbers][:, None])
            # Members stand in the order of their ids, and of equal ones the first is found.
            firsts[numbers] = members[np.arange(len(numbers)), np.argmin(distance, axis=1)]
        found: Places = self._sorted[firsts]
        return found

    @cached_property
    def keys(self) -> Column:
        """What tells each from all others."""
        found: Column = self.table.columns["configuration"][self._sorted[self._starts]]
        return found

    def describe(self, number: int) -> Fields:
        """Return the fields of a Candidate."""
        members = self._members(number)
        at = self.typical[number : number + 1]
        named = ("name", "network", "dataset", "device", "parameters", "simulated", "is_external")
        fields: Fields = {name: self.table.values(name, at)[0] for name in named}
        qualities = {
            quality
            for quality, kwh in zip(
                self.table.values("energy_quality", members),
                self.table.values("energy_kwh", members),
                strict=True,
            )
            if kwh is not None
        }
        parameters = fields["parameters"]
        return fields | {
            "run_id": self.table.ids(at)[0],
            "parameters": None if parameters is None else int(parameters),
            "runs": len(members),
            "energy_quality": qualities.pop() if len(qualities) == 1 else None,
            "is_mixed": bool(self.is_measured[number] and self.is_otherwise[number]),
            **{name: self._spread(name, number, members) for name in FIGURES},
        }

    @cached_property
    def _sorted(self) -> Places:
        keys = self.table.columns["configuration"][self.places]
        ordered: Places = self.places[np.argsort(keys, kind="stable")]
        return ordered

    @cached_property
    def _starts(self) -> Places:
        keys = self.table.columns["configuration"][self._sorted]
        is_first = np.ones(len(keys), dtype=bool)
        is_first[1:] = keys[1:] != keys[:-1]
        return np.flatnonzero(is_first)

    @cached_property
    def _numbers(self) -> Places:
        return np.repeat(np.arange(len(self)), self.runs)

    def _members(self, number: int) -> Places:
        start = int(self._starts[number])
        members: Places = self._sorted[start : start + int(self.runs[number])]
        return members

    def _by_size(self) -> Iterator[tuple[Places, Places]]:
        """Yield which have as many runs as each other, and where in _sorted those are, a row each.

        Sorting many short rows takes a tenth of sorting all runs by configuration and value.
        """
        for size in np.unique(self.runs).tolist():
            numbers = np.flatnonzero(self.runs == size)
            yield numbers, self._starts[numbers][:, None] + np.arange(size)

    def _median(self, name: str) -> Floats:
        values = self.table.columns[name][self._sorted]
        middles = np.full(len(self), np.nan)
        for numbers, members in self._by_size():
            # NaN is sorted behind all others, so the known values of a row are its first.
            rows = np.sort(values[members], axis=1)
            known = np.count_nonzero(~np.isnan(rows), axis=1)
            each = np.arange(len(numbers))
            low, high = rows[each, np.maximum(known - 1, 0) // 2], rows[each, known // 2 * (known > 0)]
            middles[numbers] = np.where(known > 0, (low + high) / 2, np.nan)
        return middles

    def _any_energy(self, *, measured: bool) -> Mask:
        code = self.table.codes["energy_quality"].find("measured")
        is_known = ~np.isnan(self.table.columns["energy_kwh"][self._sorted])
        is_kind = (self.table.columns["energy_quality"][self._sorted] == code) == measured
        counts = np.bincount(self._numbers[is_known & is_kind], minlength=len(self))
        has: Mask = counts > 0
        return has

    def _spread(self, name: str, number: int, members: Places) -> Fields | None:
        values = self.table.columns[name][members]
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        median = float(self.medians[name][number])
        return {"n": len(known), "median": median, "low": float(known.min()), "high": float(known.max())}
