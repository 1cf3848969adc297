"""Finished runs as columns: a hundred thousand of them are filtered and sorted in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np

from columns.codes import Codes, thinned
from columns.ids import Column, Ids, Merge, Places, as_ids, as_texts
from schema.leaderboard import FinishedRun

NUMBERS: Final = (
    *("accuracy", "last_loss", "energy_kwh", "co2_g", "duration_s", "parameters", "epochs_done"),
    *("ended_at_s", "seed"),
)
FLAGS: Final = ("simulated", "is_external")
CODED: Final = ("name", "network", "dataset", "device", "project", "tags", "energy_quality")
_versions = count(1)


@dataclass(frozen=True)
class Table:
    """Finished runs by their ids, as they were at one moment; unknown numbers are NaN.

    A change makes another table. The two share their codes, to which only the one thread adds that changes.
    """

    run_ids: Ids
    columns: Mapping[str, Column]
    codes: Mapping[str, Codes]
    version: int
    """Two tables with the same version are one and the same."""

    @classmethod
    def of(cls, runs: Iterable[FinishedRun] = ()) -> Table:
        """Make a table with codes of its own."""
        empty = cls(
            as_ids(()),
            {name: np.zeros(0, dtype=kind) for name, kind in _KINDS.items()},
            {name: Codes() for name in CODED},
            next(_versions),
        )
        return empty.changed(runs)

    def __len__(self) -> int:
        return len(self.run_ids)

    def changed(self, runs: Iterable[FinishedRun], gone: Iterable[str] = ()) -> Table:
        """Return the table with these runs, in place of those of their ids, and without what is gone."""
        new = {run.run_id: run for run in runs}
        ordered = [new[run_id] for run_id in sorted(new)]
        merge = Merge.of(self.run_ids, as_ids(run.run_id for run in ordered), gone)
        added = _columns_of(ordered, self.codes)
        columns = {name: merge.column(column, added[name]) for name, column in self.columns.items()}
        coded = {name: thinned(columns[name], self.codes[name]) for name in CODED}
        columns |= {name: each.numbers for name, each in coded.items()}
        codes = {name: each.codes for name, each in coded.items()}
        return Table(merge.run_ids, columns, codes, next(_versions))

    def values(self, name: str, places: Places) -> list[Any]:
        """Return what runs have in a column; None where it is not known."""
        column = self.columns[name][places]
        if name in CODED:
            known = self.codes[name].values
            return [known[code] for code in column.tolist()]
        if name in NUMBERS or name == "accuracy_per_kwh":
            return [None if value != value else value for value in column.tolist()]
        listed: list[Any] = column.tolist()
        return listed

    def all_ids(self) -> list[str]:
        """Return the ids of all runs, in their order."""
        return self.ids(np.arange(len(self)))

    def ids(self, places: Places) -> list[str]:
        """Return the ids of runs."""
        return as_texts(self.run_ids[places])


_KINDS: Final = {
    **dict.fromkeys(NUMBERS, np.float64),
    "accuracy_per_kwh": np.float64,
    **dict.fromkeys(FLAGS, np.bool_),
    **dict.fromkeys(CODED, np.int32),
    "configuration": np.int64,
}


def _columns_of(runs: Sequence[FinishedRun], codes: Mapping[str, Codes]) -> dict[str, Column]:
    columns: dict[str, Column] = {
        name: np.array([getattr(run, name) for run in runs], dtype=kind)
        for name, kind in _KINDS.items()
        if name not in CODED and name != "accuracy_per_kwh"
    }
    for name in CODED:
        columns[name] = np.array([codes[name].add(getattr(run, name)) for run in runs], dtype=np.int32)
    energy = np.where(columns["energy_kwh"] > 0, columns["energy_kwh"], np.nan)
    with np.errstate(over="ignore"):
        per_kwh = columns["accuracy"] / energy
    columns["accuracy_per_kwh"] = np.where(np.isfinite(per_kwh), per_kwh, np.nan)
    return columns
