"""How runs leave the store for the archive, and come back: whole, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from errors import Conflict
from schema import Status
from schema.archive import Bundle, Fields
from schema.retention import SILENT_FOR_GOOD_S
from store.bundles import check_bundle
from store.cold import RunHashes
from store.connection import Argument, Connection
from store.encoding import to_pairs
from store.keys import Keys
from store.paging import keys_of_status

# Each part of a run, and how Redis keeps it. What it has to do with models stays where it is: it is of both.
PARTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("epochs", "superseded", "extras", "attempts", "metrics", "sources"), "hash"),
    **dict.fromkeys(("note_edits", "histograms", "artifacts", "artifact_facts"), "hash"),
    **dict.fromkeys(("log", "notes"), "stream"),
    **dict.fromkeys(("power", "usage"), "list"),
    "artifact_order": "zset",
    "histogram_bytes": "string",
}
_HISTOGRAM: Final = "histogram:"
_READ: Final[Mapping[str, tuple[str, Sequence[Argument]]]] = {
    "hash": ("HGETALL", ()),
    "stream": ("XRANGE", ("-", "+")),
    "list": ("LRANGE", (0, -1)),
    "zset": ("ZRANGE", (0, -1, "WITHSCORES")),
    "string": ("GET", ()),
}
_LOOKED_AT: Final = 500
# How long what was brought back to be read stays, and when it is brought back anew.
WARM_MS: Final = 900_000
FRESH_MS: Final = 300_000
_TRIES: Final = 3
# What was read so long ago is read again: what nobody owns is forgotten by the archive after a day.
KEPT_S: Final = 43_200


class Archiving:
    """The way of runs into the archive and out of it."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def lead(self, owner: str, *, ttl_s: float) -> bool:
        """Tell whether ``owner`` is the one to archive until ``ttl_s`` from now. (lead.lua)"""
        arguments: Sequence[Argument] = [owner, math.ceil(1000 * ttl_s)]
        return bool(self._connection.run("lead", [self._keys.of("lock", "archive")], arguments))

    def list_archived(self, run_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the runs that were moved to the archive."""
        return self._hashes.list_archived(run_ids)

    def count(self) -> int:
        """Return how many runs were moved to the archive."""
        found: int = self._connection.call("HLEN", self._keys.of("archived"))
        return found

    def list_places(self) -> frozenset[str]:
        """Return where in the archive all runs are that were moved there."""
        return frozenset(self._connection.call("HVALS", self._keys.of("archived")))

    def list_ids(self) -> Sequence[str]:
        """Return all runs that were moved to the archive."""
        found: list[str] = self._connection.call("HKEYS", self._keys.of("archived"))
        return found

    def find_place(self, run_id: str) -> str | None:
        """Return where in the archive a run is; None for one that is not there."""
        return self._hashes.find_places([run_id]).get(run_id)

    def list_ended(self) -> Iterator[str]:
        """Yield all runs that have ended and are here, the oldest of each status first."""
        for run_ids in self._walk("+inf"):
            yield from run_ids

    def list_due(self, ended_before_s: float) -> Iterator[str]:
        """Yield runs that ended before then and are not archived, those that were added first at first.

        In pieces, each read when it is asked for: what moves in the index meanwhile may be left out.
        """
        for run_ids in self._walk(repr(ended_before_s)):
            replies = self._connection.call_many(
                [("HGET", self._keys.of("run", run_id), "ended_at") for run_id in run_ids]
            )
            for run_id, ended_at in zip(run_ids, replies, strict=True):
                if ended_at and float(ended_at) < ended_before_s:
                    yield run_id

    def read(self, run_id: str) -> Bundle | None:
        """Return all that is kept of a run; None where there is none.

        Not of one moment: ``move`` refuses what has changed since this began.
        """
        keys = self._keys_of(run_id)
        found = self._connection.run("fingerprint", keys, [run_id])
        if found is None:
            return None
        fingerprint, read_at_s = found
        kinds = zip(PARTS.values(), keys[1:], strict=True)
        commands = [(_READ[kind][0], key, *_READ[kind][1]) for kind, key in kinds]
        record, *replies = self._connection.call_many([("HGETALL", keys[0]), *commands])
        parts = {
            part: _to_content(PARTS[part], reply) for part, reply in zip(PARTS, replies, strict=True) if reply
        }
        for name in parts.get("histograms", ()):
            key = self._keys.of("histogram", run_id, name)
            parts[f"{_HISTOGRAM}{name}"] = self._connection.call("LRANGE", key, 0, -1)
        points = {
            name: self._connection.read_bytes(self._keys.of("points", run_id, name)) or b""
            for name in parts.get("metrics", ())
        }
        return Bundle(run_id, record, parts, points, fingerprint, float(read_at_s))

    def move(self, bundle: Bundle) -> bool:
        """Take a run away that the archive has; False where it has changed since it was read, or may not go.

        Also where it was read so long ago that the archive may have forgotten it.

        Atomic (archive.lua). What is registered as a model stays, and so does what may still go on.
        """
        keys = self._keys_of(bundle.run_id)
        arguments: list[Argument] = [bundle.run_id, bundle.fingerprint, SILENT_FOR_GOOD_S, bundle.place]
        arguments += [bundle.read_at_s, KEPT_S]
        return bool(self._connection.run("archive", keys, arguments, is_replicated=True))

    def is_warm(self, run_id: str, *, has_points: bool) -> bool:
        """Whether what is wanted of an archived run is here, and for some time to come."""
        key = self._keys.of("warm", run_id)
        kind, left_ms = self._connection.call_many([("GET", key), ("PTTL", key)])
        return kind in (("points",) if has_points else ("points", "records")) and left_ms > FRESH_MS

    def warm(self, bundle: Bundle, *, has_points: bool) -> bool:
        """Bring the parts of an archived run back for a while, to be read; False where it is not archived.

        It stays archived: its record is not among them, and every change of it is refused.
        """
        run_id = bundle.run_id
        for key, kind, content in self._contents(bundle, has_points=has_points):
            if not self._thaw(run_id, key, kind, content):
                return False
        marker = "points" if has_points else "records"
        return self._thaw(run_id, self._keys.of("warm", run_id), "string", [marker])

    def restore(self, bundle: Bundle) -> None:
        """Bring an archived run back for good. Atomic (restore.lua), once all its parts are here.

        No-op for one that is here. Raises NotFound where there is none of its id.
        """
        run_id = bundle.run_id
        record = [cell for pair in bundle.record.items() for cell in pair]
        for _ in range(_TRIES):
            self.warm(bundle, has_points=True)
            staged = [key for key, _, _ in self._contents(bundle, has_points=True)]
            keys = [self._keys.of("run", run_id), self._keys.of("warm", run_id), *staged]
            if self._connection.run("restore", keys, [run_id, *record], is_replicated=True):
                return
        raise Conflict(f"Run {run_id} could not be restored: Redis is too slow to take it. Try again later.")

    def check(self, bundle: Bundle) -> None:
        """Raise InvalidInput for what comes from elsewhere and is no run that has ended."""
        check_bundle(bundle, PARTS)

    def adopt(self, bundle: Bundle) -> bool:
        """Take in a run that the archive has and that never was here; False where there is one of its id.

        Atomic (adopt_archived.lua).
        """
        record = [cell for pair in bundle.record.items() for cell in pair]
        keys = [self._keys.of("run", bundle.run_id)]
        arguments: list[Argument] = [bundle.run_id, bundle.place, bundle.read_at_s, KEPT_S, *record]
        return bool(self._connection.run("adopt_archived", keys, arguments))

    def read_facts(self) -> Fields:
        """Return what is noted of the rounds of archiving."""
        found: Fields = self._connection.call("HGETALL", self._keys.of("archive_facts"))
        return found

    def note_facts(self, facts: Fields) -> None:
        """Note something of the rounds of archiving."""
        self._connection.call("HSET", self._keys.of("archive_facts"), *chain(*facts.items()))

    def note_round(self, facts: Fields, *, result: str) -> None:
        """Note that a round has ended, and count it by its result, ``ok`` or ``failed``."""
        key = self._keys.of("archive_facts")
        self._connection.call_many(
            [("HSET", key, *chain(*facts.items())), ("HINCRBY", key, f"rounds:{result}", 1)]
        )

    def _keys_of(self, run_id: str) -> list[str]:
        return [self._keys.of("run", run_id), *(self._keys.of(part, run_id) for part in PARTS)]

    def _walk(self, added_before: str) -> Iterator[list[str]]:
        """Yield runs that have ended and are here, in pieces."""
        keys = [key for status in Status if status.is_final for key in keys_of_status(self._keys, status)]
        for key in keys:
            count = self._connection.call("ZCOUNT", key, "-inf", added_before)
            # By place: by score, Redis goes through all before a piece again, archived runs of years.
            for start in range(0, count, _LOOKED_AT):
                last = min(start + _LOOKED_AT, count) - 1
                found: list[str] = self._connection.call("ZRANGE", key, start, last)
                gone = self.list_archived(found)
                yield [run_id for run_id in found if run_id not in gone]

    def _contents(self, bundle: Bundle, *, has_points: bool) -> Iterator[tuple[str, str, list[Argument]]]:
        """Yield the key, the kind and the content, as thaw.lua wants it, of each part."""
        run_id = bundle.run_id
        for part, content in bundle.parts.items():
            if part.startswith(_HISTOGRAM):
                key, kind = self._keys.of("histogram", run_id, part.removeprefix(_HISTOGRAM)), "list"
            else:
                key, kind = self._keys.of(part, run_id), PARTS[part]
            yield key, kind, _to_cells(kind, content)
        for name, points in bundle.points.items() if has_points else ():
            yield self._keys.of("points", run_id, name), "string", [points]

    def _thaw(self, run_id: str, key: str, kind: str, content: Sequence[Argument]) -> bool:
        keys = [key, self._keys.of("archived")]
        return bool(self._connection.run("thaw", keys, [run_id, WARM_MS, kind, *content]))


def _to_content(kind: str, reply: Any) -> Any:
    """Turn what Redis answers into what JSON can hold."""
    if kind == "zset":
        return [list(pair) for pair in to_pairs(reply).items()]
    if kind == "stream":
        return [[entry_id, dict(fields)] for entry_id, fields in reply]
    return reply


def _to_cells(kind: str, content: Any) -> list[Argument]:
    match kind:
        case "hash":
            return list(chain(*content.items()))
        case "stream":
            return [
                cell
                for entry_id, fields in content
                for cell in (entry_id, 2 * len(fields), *chain(*fields.items()))
            ]
        case "zset":
            return [cell for member, score in content for cell in (member, str(score))]
        case "string":
            return [content]
    return list(content)
