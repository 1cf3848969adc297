"""Where waiting runs stand in their lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schema import Ahead, Run, requirement_queue
from store.connection import Connection, Reply
from store.keys import Keys

# A page shows the newest runs or the next ones; looking through the middle of a list costs its whole length.
WINDOW: Final = 250
_COMMANDS_PER_LIST: Final = 3


class Line:
    """The order in which the runs of a queue are claimed."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def count_before(self, runs: Sequence[Run]) -> dict[str, Ahead]:
        """Count the runs that are claimed before each of these in its queue, in one round trip.

        Exact for the next and for the newest WINDOW runs of a list, for others a lower bound. A run that is
        on no list is left out.
        """
        queues = sorted({_queue_of(run) for run in runs})
        replies = self._connection.call_many(
            [command for queue in queues for high in (True, False) for command in self._look(queue, high)]
        )
        found: dict[str, Ahead] = {}
        for place, queue in enumerate(queues):
            urgent, normal = (
                replies[(2 * place + half) * _COMMANDS_PER_LIST :][:_COMMANDS_PER_LIST] for half in (0, 1)
            )
            asked = [run for run in runs if _queue_of(run) == queue]
            found |= _places([run.run_id for run in asked if _is_high(run)], urgent, 0)
            found |= _places([run.run_id for run in asked if not _is_high(run)], normal, urgent[0])
        return found

    def _look(self, queue: str, high: bool) -> list[tuple[str | int, ...]]:
        key = self._keys.waiting(queue, high=high)
        return [("LLEN", key), ("LRANGE", key, 0, WINDOW - 1), ("LRANGE", key, -WINDOW, -1)]


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
    return requirement_queue(run.options.queue, run.options.requires)


def _is_high(run: Run) -> bool:
    return run.options.priority == "high"
