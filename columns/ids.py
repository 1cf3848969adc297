"""The sorted ids of a table's runs, and what a change does to them and to the columns beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.bytes_]
Places: TypeAlias = NDArray[np.intp]
Column: TypeAlias = NDArray[Any]
K = TypeVar("K", bound=np.generic)

_ID_TYPE: Final = "S64"  # as long as a run id may be; its characters are ASCII


def as_ids(run_ids: Iterable[str]) -> Ids:
    """Return ids as a table has them."""
    return np.array(list(run_ids), dtype=_ID_TYPE)


def as_texts(ids: Ids) -> list[str]:
    """Return ids as everybody else has them."""
    return [run_id.decode("ascii") for run_id in ids.tolist()]


def find(known: Ids, wanted: Ids) -> Places:
    """Return the places of those that are among the known ones, which are sorted."""
    places = np.searchsorted(known, wanted)
    is_inside = places < len(known)
    places, wanted = places[is_inside], wanted[is_inside]
    found: Places = places[known[places] == wanted]
    return found


@dataclass(frozen=True)
class Merge:
    """What becomes of a table: some of its runs are left, and others come in between."""

    run_ids: Ids
    """All of them afterwards, sorted."""
    _is_kept: NDArray[np.bool_]
    _places: Places

    @classmethod
    def of(cls, known: Ids, new: Ids, gone: Iterable[str]) -> Merge:
        """Put new runs, sorted, in place of those of their ids, and leave out what is gone."""
        is_kept = np.ones(len(known), dtype=bool)
        is_kept[find(known, np.concatenate([new, as_ids(gone)]))] = False
        kept = known[is_kept]
        places = np.searchsorted(kept, new)
        return cls(np.insert(kept, places, new), is_kept, places)

    def column(self, known: NDArray[K], new: NDArray[K]) -> NDArray[K]:
        """Return a column afterwards, from what it was and what the new runs have."""
        return np.insert(known[self._is_kept], self._places, new)
