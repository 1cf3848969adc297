"""The log lines of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schema import Lease, LogLine
from store.connection import Connection
from store.encoding import time_of_entry, to_text, to_time
from store.keys import Keys

MAX_LINES: Final = 10_000
MAX_LINE_CHARACTERS: Final = 4_000
_LINES_PER_CALL: Final = 1_000

LogLines = list[LogLine]


class Log:
    """One capped stream per run."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def append(self, lease: Lease, lines: Sequence[str]) -> None:
        """Add lines to the log of the run that is held; very long lines are cut.

        About the newest MAX_LINES are kept. Not idempotent: lines whose reply was lost appear twice if they
        are sent again. Raises LeaseLost when the run is no longer held; nothing is written then.
        """
        key = self._keys.of("log", lease.run_id)
        for start in range(0, len(lines), _LINES_PER_CALL):
            batch = [bounded(line) for line in lines[start : start + _LINES_PER_CALL]]
            self._connection.run(
                "append_log", [key], [lease.run_id, lease.attempt, lease.worker_id, MAX_LINES, *batch]
            )

    def list(self, run_id: str, *, after: str | None = None, limit: int = 1000) -> LogLines:
        """Return lines, oldest first: the first after ``after``, or without it the newest."""
        entries = self._connection.read_stream(self._keys.of("log", run_id), after=after, limit=limit)
        return [
            # A script says when itself: what it said while nobody listened came later.
            LogLine(
                line_id=entry_id,
                time=to_time(fields["time"]) if "time" in fields else time_of_entry(entry_id),
                text=fields["text"],
            )
            for entry_id, fields in entries
        ]


def bounded(line: str) -> str:
    """Return a line as it is stored: cut where it is very long, without what UTF-8 cannot carry."""
    if len(line) > MAX_LINE_CHARACTERS:
        line = f"{line[:MAX_LINE_CHARACTERS]} … ({len(line) - MAX_LINE_CHARACTERS} characters cut)"
    return to_text(line)
