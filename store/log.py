"""The log lines of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schema import Lease, LogLine
from store.connection import Connection
from store.encoding import time_of_entry, to_text, to_time
from store.keys import Keys

MAX_LINES: Final = 10_000
MAX_LINE_CHARACTERS: Final = 4_000
_LINES_PER_CALL: Final = 1_000

# One search looks at so many lines at most, 8 MB of them; who wants more asks again.
MOST_SEARCHED: Final = 2_000
_SEARCHED_AT_ONCE: Final = 500

LogLines = list[LogLine]


@dataclass(frozen=True)
class Found:
    """Lines, oldest first, and where to go on."""

    lines: LogLines
    older: str | None
    """Before which line to go on; None when there is nothing before."""
    newest: str | None
    """The newest line that was looked at; None when there was none."""


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

    def list(
        self, run_id: str, *, after: str | None = None, before: str | None = None, limit: int = 1000
    ) -> LogLines:
        """Return lines, oldest first: the first after ``after``, else the newest ones before ``before``."""
        key = self._keys.of("log", run_id)
        entries = self._connection.read_stream(key, after=after, before=before, limit=limit)
        return [to_line(*entry) for entry in entries]

    def search(
        self,
        run_id: str,
        contains: str,
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 1000,
    ) -> Found:
        """Return the lines with a text in them, whether in capitals or not, among MOST_SEARCHED at most.

        Those lines are the first after ``after``, or without it the newest, before ``before``.
        """
        wanted, place, newest = contains.casefold(), after or before, after
        found: LogLines = []
        for line in self._walk(run_id, after=after, before=before):
            place = line.line_id
            newest = place if after else newest or place
            if wanted in line.text.casefold():
                found.append(line)
                if len(found) == limit:
                    break
        if after is not None:
            return Found(found, None, newest)
        is_all = place is None or not self.list(run_id, before=place, limit=1)
        return Found(found[::-1], None if is_all else place, newest)

    def _walk(self, run_id: str, *, after: str | None, before: str | None) -> Iterator[LogLine]:
        """Yield MOST_SEARCHED lines at most: from ``after`` on, or without it backwards."""
        for _ in range(MOST_SEARCHED // _SEARCHED_AT_ONCE):
            lines = self.list(run_id, after=after, before=before, limit=_SEARCHED_AT_ONCE)
            yield from lines if after is not None else lines[::-1]
            if len(lines) < _SEARCHED_AT_ONCE:
                return
            if after is not None:
                after = lines[-1].line_id
            else:
                before = lines[0].line_id


def to_line(entry_id: str, fields: Mapping[str, str]) -> LogLine:
    """Read an entry of a log."""
    # A script says when itself: what it said while nobody listened came later.
    time = to_time(fields["time"]) if "time" in fields else time_of_entry(entry_id)
    return LogLine(line_id=entry_id, time=time, text=fields["text"])


def bounded(line: str) -> str:
    """Return a line as it is stored: cut where it is very long, without what UTF-8 cannot carry."""
    if len(line) > MAX_LINE_CHARACTERS:
        line = f"{line[:MAX_LINE_CHARACTERS]} … ({len(line) - MAX_LINE_CHARACTERS} characters cut)"
    return to_text(line)
