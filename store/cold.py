"""Runs that were moved to the archive, read in place of what is no longer here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from pydantic import JsonValue

from errors import Conflict
from schema.archive import ColdRuns, Fields
from store.connection import Connection
from store.keys import Keys

_AT_ONCE: Final = 500

Found = TypeVar("Found")
Look = Callable[[Sequence[str]], dict[str, Found]]


class RunHashes:
    """The hashes of runs, wherever they are; who was given no archive finds those in Redis alone."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self.archive: ColdRuns | None = None

    def fetch(self, run_ids: Sequence[str]) -> list[Fields]:
        """Return the hash of each run, empty where there is none."""
        found = self._find(run_ids, partial(self._find_hashes, "run"), self._find_records)
        return [found.get(run_id, {}) for run_id in run_ids]

    def get_known(self, run_id: str) -> Fields:
        """Return the hash of a run that a script found to be archived. Raises Conflict without an archive."""
        (found,) = self.fetch([run_id])
        if not found:
            raise Conflict(f"Run {run_id} was moved to the archive, which this program was not given.")
        return found

    def fetch_fields(self, run_ids: Sequence[str], fields: Sequence[str]) -> list[dict[str, str | None]]:
        """Return these fields of each run; ``status``, one of them, is None where there is no run."""

        def look(asked: Sequence[str]) -> dict[str, dict[str, str | None]]:
            commands = [("HMGET", self._keys.of("run", run_id), *fields) for run_id in asked]
            rows = (dict(zip(fields, reply, strict=True)) for reply in self._connection.call_many(commands))
            return {run_id: row for run_id, row in zip(asked, rows, strict=True) if row["status"] is not None}

        def find_cold(asked: Sequence[str]) -> dict[str, dict[str, str | None]]:
            records = self._find_records(asked).items()
            return {run_id: {name: record.get(name) for name in fields} for run_id, record in records}

        found = self._find(run_ids, look, find_cold)
        return [found.get(run_id) or dict.fromkeys(fields) for run_id in run_ids]

    def fetch_part(self, run_ids: Sequence[str], part: str) -> list[Fields]:
        """Return a part that is a hash, such as the epochs, of each run; empty where it has none."""
        found = self._find(run_ids, partial(self._find_hashes, part), partial(self._find_parts, part))
        return [found.get(run_id, {}) for run_id in run_ids]

    def list_archived(self, run_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the runs that were moved to the archive."""
        return frozenset(self.find_places(run_ids))

    def find_places(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Return where in the archive those of the runs are that were moved there."""
        if not run_ids:
            return {}
        places = self._connection.call("HMGET", self._keys.of("archived"), *run_ids)
        return {run_id: place for run_id, place in zip(run_ids, places, strict=True) if place is not None}

    def _find(self, run_ids: Sequence[str], look: Look[Found], find_cold: Look[Found]) -> dict[str, Found]:
        """Return what there is, here or in the archive.

        What was restored after the first look at Redis and before that at the archive is here again.
        """
        found = look(run_ids)
        for find in (find_cold, look) if self.archive else ():
            if missing := [run_id for run_id in run_ids if run_id not in found]:
                found |= find(missing)
        return found

    def _find_hashes(self, part: str, run_ids: Sequence[str]) -> dict[str, Fields]:
        replies = self._connection.call_many([("HGETALL", self._keys.of(part, run_id)) for run_id in run_ids])
        return {run_id: stored for run_id, stored in zip(run_ids, replies, strict=True) if stored}

    def _find_records(self, missing: Sequence[str]) -> dict[str, Fields]:
        """Return what the archive has of runs that were moved there: what it has of others is out of date."""
        found: dict[str, Fields] = {}
        if self.archive:
            places = list(self.find_places(missing).items())
            for start in range(0, len(places), _AT_ONCE):
                part = dict(places[start : start + _AT_ONCE])
                records = self.archive.find_records(list(part.values()))
                found |= {run_id: records[place] for run_id, place in part.items() if place in records}
        return found

    def _find_parts(self, part: str, missing: Sequence[str]) -> dict[str, Fields]:
        places = self.find_places(missing)
        cold = self.archive.find_parts(list(places.values()), part) if self.archive and places else {}
        hashes = {run_id: _hash(cold.get(place)) for run_id, place in places.items()}
        return {run_id: stored for run_id, stored in hashes.items() if stored}


def _hash(content: JsonValue) -> dict[str, str]:
    return {name: str(text) for name, text in content.items()} if isinstance(content, dict) else {}
