"""What happened, in order: written by the scripts, read by pages and alerts."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from schema import Event
from schema.leaderboard import Changes
from store.connection import Connection
from store.encoding import time_of_entry
from store.keys import Keys

EventList = list[Event]
_EVENTS_AT_ONCE: Final = 2_000


class Events:
    """The stream of events, which keeps about the newest 10,000."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def list(self, after: str | None = None, limit: int = 1000) -> EventList:
        """Return events in their order: the first after ``after``, or without it the newest."""
        entries = self._connection.read_stream(self._keys.of("events"), after=after, limit=limit)
        return [
            # Another version may have written more about it.
            Event.model_validate(
                {**fields, "event_id": entry_id, "time": time_of_entry(entry_id)}, extra="ignore"
            )
            for entry_id, fields in entries
        ]

    def read_cursor(self) -> str:
        """Return the place of the newest event, for ``list_changes`` to go on from; empty without any."""
        newest = self._connection.call("XREVRANGE", self._keys.of("events"), "+", "-", "COUNT", 1)
        return newest[0][0] if newest else ""

    def list_changes(self, cursor: str, *, kinds: Container[str] | None = None) -> Changes | None:
        """Return the runs of the events since, of all kinds or some, and the place to go on from.

        None when the stream no longer has the entry at the cursor: then nobody knows what came after it.
        """
        changed: set[str] = set()
        while True:
            command = ("XRANGE", self._keys.of("events"), cursor or "-", "+", "COUNT", _EVENTS_AT_ONCE)
            entries = self._connection.call(*command)
            if not cursor:
                # At first there was no event at all; now the oldest may be gone already.
                return None if entries else Changes(cursor, frozenset())
            if not entries or entries[0][0] != cursor:
                return None
            changed |= {
                fields["run_id"] for _, fields in entries[1:] if kinds is None or fields["kind"] in kinds
            }
            cursor = entries[-1][0]
            if len(entries) < _EVENTS_AT_ONCE:
                return Changes(cursor, frozenset(changed))
