"""Where waiting runs stand in their lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from schema import Ahead, Run, planned_queue, requirement_queue
from store.connection import Connection, Reply
from store.keys import Keys, general_queue

# A page shows the newest runs or the next ones; looking through the middle of a list costs its whole length.
WINDOW: Final = 250
_COMMANDS_PER_LIST: Final = 3


class _Half(NamedTuple):
    """The urgent or the other runs of a queue, which have a list of their own."""

    queue: str
    high: bool


class Line:
    """The order in which the runs of a queue are claimed."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def count_before(self, runs: Sequence[Run]) -> dict[str, Ahead]:
        """Count the runs that are claimed before each of these in its queue, in two round trips at most.

        Exact for the next and for the newest WINDOW runs of a list, for others a lower bound, and so where
        runs with other requirements may come first, which depends on the worker. A run that is on no list is
        left out.
        """
        asked: dict[str, list[Run]] = {}
        for run in runs:
            asked.setdefault(_queue_of(run), []).append(run)
        if not asked:
            return {}
        halves = [_Half(queue, high) for queue in asked for high in (True, False)]
        *replies, special = self._connection.call_many(
            [
                *(command for half in halves for command in self._look(half)),
                ("HKEYS", self._keys.of("requirements")),
            ]
        )
        before = self._count_others({*asked, *special}, {general_queue(queue) for queue in asked})
        found: dict[str, Ahead] = {}
        for place, half in enumerate(halves):
            ends = replies[place * _COMMANDS_PER_LIST :][:_COMMANDS_PER_LIST]
            own = [run.run_id for run in asked[half.queue] if _is_high(run) == half.high]
            urgent = 0 if half.high else replies[(place - 1) * _COMMANDS_PER_LIST]
            others = before.get(half, Ahead(0))
            for run_id, ahead in _places(own, ends, urgent).items():
                is_exact = ahead.is_exact and others.is_exact
                found[run_id] = Ahead(ahead.runs + others.runs, is_exact=is_exact)
        return found

    def _look(self, half: _Half) -> list[tuple[str | int, ...]]:
        key = self._keys.waiting(half.queue, high=half.high)
        return [("LLEN", key), ("LRANGE", key, 0, WINDOW - 1), ("LRANGE", key, -WINDOW, -1)]

    def _count_others(self, queues: Iterable[str], general: set[str]) -> dict[_Half, Ahead]:
        """Count what other lists of its family have before each list; none where nothing has requirements."""
        families: dict[str, set[str]] = {}
        for queue in queues:
            if (family := general_queue(queue)) != queue and family in general:
                families.setdefault(family, {family}).add(queue)
        if not families:
            return {}
        halves = [
            _Half(queue, high) for family in families.values() for queue in family for high in (True, False)
        ]
        lengths = self._connection.call_many(
            [("LLEN", self._keys.waiting(half.queue, high=half.high)) for half in halves]
        )
        known = dict(zip(halves, lengths, strict=True))
        return {half: ahead for family in families.values() for half, ahead in _walk(family, known)}


def _walk(family: Iterable[str], lengths: Mapping[_Half, int]) -> Iterator[tuple[_Half, Ahead]]:
    """Go through the lists of a family in the order of Queue.claim, and count what came before in others.

    Who takes the runs of a queue with requirements takes those of the general queue, too: these count. What
    has other requirements it may take or not.
    """
    general = special = 0
    for half in sorted((_Half(queue, high) for queue in family for high in (True, False)), key=_rank):
        own = 0 if half.high else lengths[_Half(half.queue, True)]
        if half.queue == general_queue(half.queue):
            yield half, Ahead(general - own, is_exact=special == 0)
            general += lengths[half]
        else:
            yield half, Ahead(general, is_exact=special == own)
            special += lengths[half]


def _rank(half: _Half) -> tuple[bool, bool, str]:
    """Sort the lists of a family as claims do: urgent ones first, the general queue after the others."""
    return (not half.high, half.queue == general_queue(half.queue), half.queue)


def _places(run_ids: Sequence[str], replies: Sequence[Reply], urgent: int) -> dict[str, Ahead]:
    """Find the runs at either end of a list; new ones enter in front, the pop end is the last entry."""
    length, newest, following = replies
    before = {run_id: length - 1 - place for place, run_id in enumerate(newest)}
    before |= {run_id: len(following) - 1 - place for place, run_id in enumerate(following)}
    found = {run_id: Ahead(urgent + before[run_id]) for run_id in run_ids if run_id in before}
    if length > 2 * WINDOW:
        between = Ahead(urgent + WINDOW, is_exact=False)
        return dict.fromkeys(run_ids, between) | found
    return found


def _queue_of(run: Run) -> str:
    return requirement_queue(planned_queue(run.options, run.carbon), run.options.requires)


def _is_high(run: Run) -> bool:
    return run.options.priority == "high"
