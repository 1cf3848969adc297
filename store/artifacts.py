"""The artifacts of runs: which files there are, and which files have no record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from pydantic_core import from_json

from errors import FieldError, InvalidInput, NotFound
from schema import Artifact, ArtifactQuery, Kind
from schema.retention import SILENT_FOR_GOOD_S
from store.connection import Argument, Connection
from store.encoding import to_json, to_pairs, to_time
from store.keys import Keys

MAX_VERSIONS: Final = 10_000
MAX_FORGETTABLE: Final = 1_000
"""So many names whose versions were all deleted go on counting, beside as many as there are versions."""
_READ_AT_ONCE: Final = 500
_PARTS: Final = ("run", "artifacts", "artifact_facts")


@dataclass(frozen=True)
class NewFile:
    """A file that was written and has no record yet."""

    file: str
    """Where it is, below the place of artifacts."""
    size_bytes: int
    sha256: str
    content_type: str


class Kept(NamedTuple):
    """An artifact, and its file below the place of artifacts."""

    artifact: Artifact
    file: str


class Recorded(NamedTuple):
    """What became of a new file."""

    artifact: Artifact
    file: str
    is_new: bool
    """False: it was there already, with another file, and the new one is to be deleted."""


class Page(NamedTuple):
    """Artifacts, newest first."""

    artifacts: Sequence[Artifact]
    next_cursor: str | None


class Artifacts:
    """The records. All raise NotFound without the run, or the artifact.

    A file is noted before it is written, and until it has a record: whoever is killed in between leaves one
    that ``condemn`` tells. So is the file of a record that is deleted, until the file is gone.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def begin(self, run_id: str, file: str, size_bytes: int, *, most_bytes: int) -> None:
        """Note a file that is about to be written. Raises as ``record`` would, as far as that is known."""
        keys = [*self._of(run_id), self._keys.of("unsettled_files")]
        self._connection.run("begin_artifact", keys, [run_id, file, size_bytes, MAX_VERSIONS, most_bytes])

    def record(
        self, run_id: str, name: str, query: ArtifactQuery, new: NewFile, *, most_bytes: int
    ) -> Recorded:
        """Give a file its record; the same bytes again, as the same of the same step, have one already.

        Atomic (record_artifact.lua). Raises Conflict where the run has MAX_VERSIONS or the file is noted no
        more, and TooLarge where its artifacts would have more than ``most_bytes``.
        """
        stored = {
            "kind": query.kind,
            "step": query.step,
            "metrics": query.metrics,
            "size_bytes": new.size_bytes,
            "sha256": new.sha256,
            "content_type": new.content_type,
            "file": new.file,
        }
        same = _identity(name, query.kind, query.step, new.sha256)
        keys = [
            *self._of(run_id),
            self._keys.of("unsettled_files"),
            self._keys.of("artifact_order", run_id),
        ]
        arguments: list[Argument] = [run_id, new.file, new.size_bytes, MAX_VERSIONS, most_bytes, name, same]
        version, record, is_new = self._connection.run(
            "record_artifact", keys, [*arguments, to_json(stored)], is_replicated=True
        )
        return Recorded(*decode_artifact(run_id, name, version, record), bool(is_new))

    def replace_file(self, artifact: Artifact, gone: str, file: str) -> bool:
        """Give a record whose file is gone another one of the same bytes; False where it has one by now.

        Atomic (replace_artifact_file.lua). The one that is gone is noted until ``settle``. Raises Conflict
        where the new one is noted no more.
        """
        keys = [self._keys.of("artifacts", artifact.run_id), self._keys.of("unsettled_files")]
        place = f"{artifact.name}:{artifact.version}"
        return bool(
            self._connection.run("replace_artifact_file", keys, [place, gone, file], is_replicated=True)
        )

    def get(self, run_id: str, name: str, version: int | None = None) -> Kept:
        """Return a version of an artifact, without a number the newest one there is."""
        if version is None:
            version = self._newest(run_id, name)
        record = self._connection.call("HGET", self._keys.of("artifacts", run_id), f"{name}:{version}")
        if record is None:
            raise _no_artifact(run_id, name, version)
        return decode_artifact(run_id, name, version, record)

    def list(
        self,
        run_id: str,
        *,
        kinds: Sequence[Kind] = (),
        name: str | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page:
        """Return artifacts, newest first; no kinds are all of them. Raises InvalidInput on a cursor."""
        found: list[Artifact] = []
        for number, kept in self._walk(run_id, before=_read_cursor(cursor)):
            if (kinds and kept.artifact.kind not in kinds) or name not in (None, kept.artifact.name):
                continue
            if len(found) == limit:
                return Page(found, str(number + 1))
            found.append(kept.artifact)
        return Page(found, None)

    def delete(self, run_id: str, name: str, version: int, *, is_run_over: bool = False) -> str:
        """Forget a version and return its file, which is noted until ``settle``.

        Raises Conflict while a version of a model needs it; with ``is_run_over`` also while the run has not
        ended, or for a silence alone that is not for good.
        """
        kept = self.get(run_id, name, version)
        same = _identity(name, kept.artifact.kind, kept.artifact.step, kept.artifact.sha256)
        keys = [self._keys.of(part, run_id) for part in ("artifacts", "artifact_facts")]
        keys.append(self._keys.of("unsettled_files"))
        keys += [self._keys.of(part, run_id) for part in ("artifact_order", "run_models", "run")]
        place = [f"{name}:{version}", same, run_id if is_run_over else ""]
        arguments: list[Argument] = [*place, MAX_FORGETTABLE, SILENT_FOR_GOOD_S]
        if self._connection.run("delete_artifact", keys, arguments, is_replicated=True) is None:
            raise _no_artifact(run_id, name, version)
        return kept.file

    def settle(self, file: str) -> None:
        """Forget a file that is gone."""
        self._connection.call("ZREM", self._keys.of("unsettled_files"), file)

    def condemn(self, *, older_than_s: float, retry_s: float = 600.0, limit: int = 100) -> Sequence[str]:
        """Return files to delete: noted so long ago without a record, or whose record is gone.

        Atomic (condemn_files.lua): they can get no record any more, and come again after ``retry_s`` unless
        they are settled; whoever fails keeps no other waiting. A run's id stands for all files of it.
        """
        files: list[str] = self._connection.run(
            "condemn_files", [self._keys.of("unsettled_files")], [older_than_s, limit, retry_s]
        )
        return files

    def _of(self, run_id: str) -> Sequence[str]:
        return [self._keys.of(part, run_id) for part in _PARTS]

    def _newest(self, run_id: str, name: str) -> int:
        """Return the highest version of a name that was not deleted."""
        last = self._connection.call("HGET", self._keys.of("artifact_facts", run_id), f"version:{name}")
        for end in range(int(last or 0), 0, -_READ_AT_ONCE):
            versions = range(end, max(0, end - _READ_AT_ONCE), -1)
            places = [f"{name}:{version}" for version in versions]
            stored = self._connection.call("HMGET", self._keys.of("artifacts", run_id), *places)
            for version, record in zip(versions, stored, strict=True):
                if record is not None:
                    return version
        raise _no_artifact(run_id, name, None)

    def _walk(self, run_id: str, *, before: int | None) -> Iterator[tuple[int, Kept]]:
        """Yield artifacts and their places in the order, newest first."""
        end = "+inf" if before is None else f"({before}"
        while True:
            flat = self._connection.call(
                *("ZREVRANGEBYSCORE", self._keys.of("artifact_order", run_id), end, "-inf", "WITHSCORES"),
                *("LIMIT", 0, _READ_AT_ONCE),
            )
            if not flat:
                return
            order = to_pairs(flat)
            stored = self._connection.call("HMGET", self._keys.of("artifacts", run_id), *order)
            for (place, number), record in zip(order.items(), stored, strict=True):
                if record is not None:  # else deleted in between
                    name, _, version = place.rpartition(":")
                    yield int(number), decode_artifact(run_id, name, int(version), record)
            end = f"({flat[-1]}"


def decode_artifact(run_id: str, name: str, version: int, record: str) -> Kept:
    """Read a version of an artifact as it is kept."""
    values: dict[str, Any] = from_json(record)
    file = values.pop("file")
    values["created_at"] = to_time(values["created_at"])
    url = f"/api/artifacts/{run_id}/{quote(name)}?version={version}"
    # Another version may have written more about it.
    artifact = Artifact.model_validate(
        {**values, "run_id": run_id, "name": name, "version": version, "url": url}, extra="ignore"
    )
    return Kept(artifact, file)


def _identity(name: str, kind: Kind, step: int | None, sha256: str) -> str:
    parts = (name, kind, "" if step is None else str(step), sha256)
    return hashlib.sha1("\0".join(parts).encode(), usedforsecurity=False).hexdigest()


def _read_cursor(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 15):
        reason = "does not belong to this list"
        raise InvalidInput(
            f"The cursor {reason}. Start again without one.", details=[FieldError("cursor", reason)]
        )
    return int(cursor)


def _no_artifact(run_id: str, name: str, version: int | None) -> NotFound:
    which = repr(name[:80]) if version is None else f"{name[:80]!r} version {version}"
    return NotFound(f"Run {run_id} has no artifact {which}. GET /api/artifacts/{run_id} lists those it has.")
