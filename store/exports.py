"""How far each exporter has come in the ends of runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from schema import Status
from schema.exports import Ended, ExportState
from store.cold import RunHashes
from store.connection import Connection
from store.keys import Keys
from store.paging import keys_of_status

_EVENTS_AT_ONCE: Final = 2_000
_RUNS_AT_ONCE: Final = 1_000
# The last place of a millisecond.
_LAST: Final = 2**63
_FINAL: Final = (Status.DONE, Status.FAILED, Status.CANCELLED)

Place = tuple[int, int]


class Exports:
    """A cursor in the events to each exporter."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def lead(self, exporter: str, owner: str, *, ttl_s: float) -> bool:
        """Tell whether ``owner`` is the one to follow until ``ttl_s`` from now. (lead.lua)"""
        key = self._keys.of("lock", f"export-{exporter}")
        return bool(self._connection.run("lead", [key], [owner, math.ceil(1000 * ttl_s)]))

    def get(self, exporter: str) -> ExportState:
        """Return how far it has come."""
        key = self._keys.of("export", exporter)
        stored: Mapping[str, str] = self._connection.call("HGETALL", key)
        known = {name: value for name, value in stored.items() if name in ExportState.model_fields}
        return ExportState.model_validate(known)

    def start(self, exporter: str) -> None:
        """Begin with the runs that end from now on; nothing where it has begun."""
        newest = self._connection.call("XREVRANGE", self._keys.of("events"), "+", "-", "COUNT", 1)
        place, last_run = (newest[0][0], newest[0][1]["run_id"]) if newest else ("0-0", "")
        key = self._keys.of("export", exporter)
        self._connection.call_many([("HSETNX", key, "last_run", last_run), ("HSETNX", key, "cursor", place)])

    def advance(self, exporter: str, old: str, end: Ended, *, outcome: str) -> bool:
        """Go on from ``old`` to behind an end; False where it stands elsewhere. (advance_export.lua)

        outcome: exported or skipped, which are counted; anything else is not.
        """
        key = self._keys.of("export", exporter)
        return bool(self._connection.run("advance_export", [key], [old, end.place, outcome, end.run_id]))

    def note_failure(self, exporter: str, error: str, *, run_id: str, pause_s: float) -> None:
        """Note that a run could not be handed over; it is tried again after ``pause_s``."""
        key = self._keys.of("export", exporter)
        seconds, _ = self._connection.call("TIME")
        next_at = str(int(seconds) + math.ceil(pause_s))
        self._connection.call_many(
            [
                ("HINCRBY", key, "failures", 1),
                ("HSET", key, "error", error, "run_id", run_id, "next_at", next_at),
            ]
        )

    def list_ended(self, cursor: str, *, last_run: str | None = None) -> Sequence[Ended]:
        """Return ends after a place, in order, some at a time; none when there are none.

        Where the stream has lost what came after it, the runs themselves say when they ended. last_run: whose
        end is at that place.
        """
        entries = self._connection.call("XRANGE", self._keys.of("events"), "-", "+", "COUNT", 1)
        if entries:
            oldest = _place(entries[0][0])
            lost = (
                self._list_lost(_place(cursor), oldest, last_run) if _place(cursor) < _before(oldest) else ()
            )
            if lost:
                return lost
        return self._list_events(cursor)

    def _list_events(self, cursor: str) -> Sequence[Ended]:
        while True:
            command = ("XRANGE", self._keys.of("events"), f"({cursor}", "+", "COUNT", _EVENTS_AT_ONCE)
            entries = self._connection.call(*command)
            found = [
                Ended(place=place, run_id=fields["run_id"], attempt=fields.get("attempt"))
                for place, fields in entries
                if fields["kind"] in _FINAL
            ]
            if found or len(entries) < _EVENTS_AT_ONCE:
                return found
            cursor = entries[-1][0]

    def _list_lost(self, after: Place, oldest: Place, last_run: str | None) -> Sequence[Ended]:
        """Return the ends that no event tells of any more, by the runs' own times.

        The last one is right before the oldest event. Events know an order within a millisecond, runs do not:
        there one may come twice, and none is left out.
        """
        before = _before(oldest)
        kept = {end.run_id for end in self._list_events(f"{before[0]}-{before[1]}")}
        lost = [
            (max(after[0], min(at_ms, before[0])), run_id)
            for at_ms, run_id in sorted(self._list_ends())
            if after[0] <= at_ms <= oldest[0] and run_id != last_run and run_id not in kept
        ]
        found: list[Ended] = []
        place = after
        for place_ms, run_id in lost:
            place = (place_ms, place[1] + 1 if place_ms == place[0] else 0)
            found.append(Ended(place=f"{place[0]}-{place[1]}", run_id=run_id))
        if found:
            found[-1] = found[-1].model_copy(update={"place": f"{before[0]}-{before[1]}"})
        return found

    def _list_ends(self) -> Iterator[tuple[int, str]]:
        """Yield when each run ended that is over, in milliseconds."""
        for key in (key for status in _FINAL for key in keys_of_status(self._keys, status)):
            run_ids: list[str] = self._connection.call("ZRANGE", key, 0, -1)
            for start in range(0, len(run_ids), _RUNS_AT_ONCE):
                part = run_ids[start : start + _RUNS_AT_ONCE]
                # Archived ones too: a server that is away for a day must not cost the runs.
                found = self._hashes.fetch_fields(part, ("status", "ended_at"))
                times = [fields["ended_at"] for fields in found]
                yield from (
                    (int(1000 * Decimal(ended_at)), run_id)
                    for run_id, ended_at in zip(part, times, strict=True)
                    if ended_at
                )


def _before(place: Place) -> Place:
    """Return the place before that of an event."""
    time_ms, number = place
    return (time_ms, number - 1) if number else (time_ms - 1, _LAST)


def _place(entry_id: str) -> Place:
    time_ms, _, number = entry_id.partition("-")
    return int(time_ms), int(number or 0)
