"""Which runs have ended lately: a bounded look at those that were added last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from schema import Status
from store.connection import Connection
from store.encoding import to_pairs
from store.keys import Keys
from store.paging import keys_of_status

LOOKED_AT: Final = 200


class Ended(NamedTuple):
    """A run and when it ended."""

    run_id: str
    status: Status
    ended_at_s: float


class Recent:
    """The runs that ended last."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def list_ended(self, status: Status, since_s: float) -> Sequence[Ended]:
        """Return the runs of a final status that ended after a time, of the LOOKED_AT that were added last.

        Two round trips, however many runs there are: no index knows when a run has ended.
        """
        replies = self._connection.call_many(
            [("ZREVRANGE", key, 0, LOOKED_AT - 1, "WITHSCORES") for key in keys_of_status(self._keys, status)]
        )
        added = [(float(time), run_id) for reply in replies for run_id, time in to_pairs(reply).items()]
        newest = [run_id for _, run_id in sorted(added, reverse=True)[:LOOKED_AT]]
        times = self._connection.call_many(
            [("HMGET", self._keys.of("run", run_id), "status", "ended_at") for run_id in newest]
        )
        return [
            Ended(run_id, status, float(ended_at))
            for run_id, (now, ended_at) in zip(newest, times, strict=True)
            if now == status and ended_at and float(ended_at) > since_s
        ]
