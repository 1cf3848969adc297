"""Numbers in place of values: a column is filtered by trying each value once, however many runs share it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mask: TypeAlias = NDArray[np.bool_]

# So many values without a run are not worth the work.
_MOST_IDLE: Final = 1_000


class Codes:
    """Numbers for values that many runs share; a value keeps its number, and none is ever taken back.

    Where most have no run any more, ``thinned`` makes others.
    """

    def __init__(self) -> None:
        self._codes: dict[Hashable, int] = {}
        self.values: list[Any] = []

    def add(self, value: Hashable) -> int:
        """Return the number of a value, a new one where it has none yet."""
        key = _key(value)
        code = self._codes.get(key)
        if code is None:
            # In this order: whoever finds a number also finds its value.
            self.values.append(value)
            code = self._codes[key] = len(self.values) - 1
        return code

    def find(self, value: Hashable) -> int:
        """Return the number of a value; -1, which no run has, where it is not known."""
        return self._codes.get(_key(value), -1)


@dataclass(frozen=True)
class Coded:
    """What each run has in a column, by the numbers of the values."""

    numbers: NDArray[np.int32]
    codes: Codes

    @classmethod
    def of(cls, values: Iterable[Hashable], codes: Codes | None = None) -> Coded:
        """Make a column, with numbers of its own where there are none yet."""
        codes = codes or Codes()
        return cls(np.array([codes.add(value) for value in values], dtype=np.int32), codes)

    def meets(self, test: Callable[[Any], bool]) -> Mask:
        """Tell for each run whether its value passes, which is tried once for all that have it."""
        # Another table may add values meanwhile; no run of this one has them.
        tried = np.fromiter(map(test, self.codes.values), dtype=bool)
        met: Mask = tried[self.numbers]
        return met

    def equals(self, value: Hashable) -> Mask:
        """Tell for each run whether it has that very value."""
        met: Mask = self.numbers == self.codes.find(value)
        return met


def thinned(numbers: NDArray[np.int32], codes: Codes) -> Coded:
    """Return a column as it is, or with new numbers where most values have no run any more.

    Runs are deleted and given other tags as long as a process lives: their former values would add up.
    """
    if len(codes.values) <= _MOST_IDLE + 2 * len(numbers):
        return Coded(numbers, codes)
    used, places = np.unique(numbers, return_inverse=True)
    own = Codes()
    for code in used.tolist():
        own.add(codes.values[code])
    return Coded(places.astype(np.int32), own)


def _key(value: Hashable) -> Hashable:
    # True is 1 for a dict, and 1 is 1.0, which read alike to nobody.
    return value if type(value) is str else (type(value), value)
