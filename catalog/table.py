"""Runs as columns: ten thousand of them are looked through in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from columns.codes import Coded, thinned
from columns.ids import Column, Ids, Merge, Places, as_ids, as_texts
from schema.listed import ListedRun
from schema.search import FIELDS, PARAM_PREFIX

_NUMBERS: Final = frozenset(name for name, kind in FIELDS.items() if kind in ("number", "time"))
_FLAGS: Final = frozenset(name for name, kind in FIELDS.items() if kind == "flag")
_FIELD_NAMES: Final = {"id": "run_id", "tag": "tags"}
# Whoever asks for the hyperparameters of many different names pays for each anew.
_MOST_COLUMNS: Final = 64


@dataclass(frozen=True)
class Table:
    """Runs by their ids, as they were at one moment; a change makes another table.

    A column is made when it is first asked for, and then goes with the table from change to change.
    """

    run_ids: Ids
    runs: Column
    _columns: dict[str, Column] = field(default_factory=dict)
    _coded: dict[str, Coded] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[ListedRun] = ()) -> Table:
        """Make a table."""
        return cls(as_ids(()), np.zeros(0, dtype=object)).changed(runs)

    def __len__(self) -> int:
        return len(self.run_ids)

    def changed(self, runs: Iterable[ListedRun], gone: Iterable[str] = ()) -> Table:
        """Return the table with these runs, in place of those of their ids, and without what is gone."""
        new = {run.run_id: run for run in runs}
        ordered = [new[run_id] for run_id in sorted(new)]
        merge = Merge.of(self.run_ids, as_ids(run.run_id for run in ordered), gone)
        columns = {
            name: merge.column(column, _values(ordered, name)) for name, column in list(self._columns.items())
        }
        coded = {
            name: thinned(
                merge.column(known.numbers, Coded.of(_each(ordered, name), known.codes).numbers), known.codes
            )
            for name, known in list(self._coded.items())
        }
        return Table(merge.run_ids, merge.column(self.runs, _objects(ordered)), columns, coded)

    def column(self, name: str) -> Column:
        """Return what each run has of a number, a time or a flag, of ``id`` or of ``text``.

        Numbers are floats, NaN where they are unknown.
        """
        known = self._columns.get(name)
        if known is None:
            known = _values(self.runs.tolist(), name)
            if len(self._columns) < _MOST_COLUMNS:
                self._columns[name] = known
        return known

    def coded(self, name: str) -> Coded:
        """Return what each run has of any other field of a search, or of ``params.<name>``."""
        known = self._coded.get(name)
        if known is None:
            known = Coded.of(_each(self.runs.tolist(), name))
            if len(self._coded) < _MOST_COLUMNS:
                self._coded[name] = known
        return known

    def has_param(self, name: str) -> bool:
        """Tell whether any run has a hyperparameter of that name."""
        return any(name in run.params for run in self.runs.tolist())

    def list_params(self) -> set[str]:
        """Return the names of all hyperparameters there are."""
        return {name for run in self.runs.tolist() for name in run.params}

    def ids(self, places: Places) -> list[str]:
        """Return the ids of runs."""
        return as_texts(self.run_ids[places])


def _values(runs: Sequence[ListedRun], name: str) -> Column:
    values = _each(runs, name)
    if name in _NUMBERS:
        return np.array(values, dtype=np.float64)
    return np.array(values, dtype=np.bool_) if name in _FLAGS else _objects(values)


def _each(runs: Sequence[ListedRun], name: str) -> list[Any]:
    if name.startswith(PARAM_PREFIX):
        param = name.removeprefix(PARAM_PREFIX)
        return [run.params.get(param) for run in runs]
    field_name = _FIELD_NAMES.get(name, name)
    return [getattr(run, field_name) for run in runs]


def _objects(values: Sequence[object]) -> Column:
    """Return a column of objects; NumPy would make two dimensions of tuples of one length."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
