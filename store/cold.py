"""Runs that were moved to the archive, read in place of what is no longer here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from errors import Conflict
from schema.archive import ColdRuns, Fields
from store.connection import Connection
from store.keys import Keys

_AT_ONCE: Final = 500


class RunHashes:
    """The hashes of runs, wherever they are; who was given no archive finds those in Redis alone."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self.archive: ColdRuns | None = None

    def fetch(self, run_ids: Sequence[str]) -> list[Fields]:
        """Return the hash of each run, empty where there is none."""
        replies: list[Fields] = self._connection.call_many(
            [("HGETALL", self._keys.of("run", run_id)) for run_id in run_ids]
        )
        missing = [run_id for run_id, stored in zip(run_ids, replies, strict=True) if not stored]
        cold = self._find_records(missing)
        return [stored or cold.get(run_id, {}) for run_id, stored in zip(run_ids, replies, strict=True)]

    def get_known(self, run_id: str) -> Fields:
        """Return the hash of a run that a script found to be archived. Raises Conflict without an archive."""
        (found,) = self.fetch([run_id])
        if not found:
            raise Conflict(f"Run {run_id} was moved to the archive, which this program was not given.")
        return found

    def fetch_fields(self, run_ids: Sequence[str], fields: Sequence[str]) -> list[dict[str, str | None]]:
        """Return these fields of each run; ``status``, one of them, is None where there is no run."""
        replies = self._connection.call_many(
            [("HMGET", self._keys.of("run", run_id), *fields) for run_id in run_ids]
        )
        found = [dict(zip(fields, reply, strict=True)) for reply in replies]
        missing = [run_id for run_id, stored in zip(run_ids, found, strict=True) if stored["status"] is None]
        cold = self._find_records(missing)
        return [
            {name: cold[run_id].get(name) for name in fields}
            if stored["status"] is None and run_id in cold
            else stored
            for run_id, stored in zip(run_ids, found, strict=True)
        ]

    def fetch_part(self, run_ids: Sequence[str], part: str) -> list[Fields]:
        """Return a part that is a hash, such as the epochs, of each run; empty where it has none."""
        replies: list[Fields] = self._connection.call_many(
            [("HGETALL", self._keys.of(part, run_id)) for run_id in run_ids]
        )
        missing = [run_id for run_id, stored in zip(run_ids, replies, strict=True) if not stored]
        places = self.find_places(missing) if self.archive else {}
        cold = self.archive.find_parts(list(places.values()), part) if self.archive and places else {}
        return [
            stored or _hash(cold.get(places.get(run_id, "")))
            for run_id, stored in zip(run_ids, replies, strict=True)
        ]

    def list_archived(self, run_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the runs that were moved to the archive."""
        return frozenset(self.find_places(run_ids))

    def find_places(self, run_ids: Sequence[str]) -> dict[str, str]:
        """Return where in the archive those of the runs are that were moved there."""
        if not run_ids:
            return {}
        places = self._connection.call("HMGET", self._keys.of("archived"), *run_ids)
        return {run_id: place for run_id, place in zip(run_ids, places, strict=True) if place is not None}

    def _find_records(self, missing: Sequence[str]) -> Mapping[str, Fields]:
        """Return what the archive has of runs that were moved there: what it has of others is out of date."""
        found: dict[str, Fields] = {}
        if missing and self.archive:
            places = list(self.find_places(missing).items())
            for start in range(0, len(places), _AT_ONCE):
                part = dict(places[start : start + _AT_ONCE])
                records = self.archive.find_records(list(part.values()))
                found |= {run_id: records[place] for run_id, place in part.items() if place in records}
        return found


def _hash(content: JsonValue) -> dict[str, str]:
    return {name: str(text) for name, text in content.items()} if isinstance(content, dict) else {}
