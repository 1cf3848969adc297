"""Whose turn it is among what waits to be sent: what fails lets others by, but none of its own line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

Line = tuple[str, str]
"""What keeps its order, such as the versions of one file."""

_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 300.0
# Of the time there is, what fails slowly takes a quarter at most.
_PAUSE_PER_TRY: Final = 3.0


class Turns:
    """The turns of numbered things; of one thread. Times are those of any clock that only goes forward."""

    def __init__(self, lines: Callable[[int], Collection[Line]]) -> None:
        """Take what tells the lines that a number stands in."""
        self._ask = lines
        self._lines: dict[int, Collection[Line]] = {}
        self._tries: dict[int, int] = {}
        self._due_s: dict[int, float] = {}

    def next(self, waiting: Sequence[int], now_s: float) -> int | None:
        """Return the oldest that is not put off, and stands behind no other one of its lines; else None.

        waiting: oldest first.
        """
        if not self._due_s:
            return waiting[0] if waiting else None
        held: set[Line] = set()
        for number in waiting:
            lines = self._lines_of(number)
            if self._due_s.get(number, now_s) <= now_s and held.isdisjoint(lines):
                return number
            held.update(lines)
        return None

    def put_off(self, number: int, now_s: float, took_s: float) -> int:
        """Note that a try has failed, and return how many have; the wait doubles with each."""
        tries = self._tries[number] = self._tries.get(number, 0) + 1
        wait_s = min(_FIRST_WAIT_S * 2 ** min(tries - 1, 16), _LONGEST_WAIT_S)
        self._due_s[number] = now_s + max(wait_s, _PAUSE_PER_TRY * took_s)
        return tries

    def forget(self, number: int) -> None:
        """Forget what waits no more."""
        for known in (self._lines, self._tries, self._due_s):
            known.pop(number, None)

    def _lines_of(self, number: int) -> Collection[Line]:
        if number not in self._lines:
            self._lines[number] = self._ask(number)
        return self._lines[number]
