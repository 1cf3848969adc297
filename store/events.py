"""What happened, in order: written by the scripts, read by pages and alerts."""

from __future__ import annotations

from schema import Event
from store.connection import Connection
from store.encoding import time_of_entry
from store.keys import Keys

EventList = list[Event]


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
