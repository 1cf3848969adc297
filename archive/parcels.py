"""Runs as one file: a tar of JSON lines and Parquet files, written and read piece by piece."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, cast

from archive.points import decode_points, encode_points
from errors import ArchiveUnavailable, InvalidInput, WattleError
from schema.archive import END_FILE, PROBLEM_FILE, Belonging, Bundle

log = logging.getLogger(__name__)

# 1 had runs alone.
FORMAT: Final = 2
_HEAD: Final = "wattle.json"
_RUNS: Final = "runs/"
_POINTS: Final = "points/"
_OTHERS: Final = "others/"
# So much of a file is read at once, and no text of a run is longer.
_PIECE_BYTES: Final = 1 << 20
MOST_RUN_BYTES: Final = 512 << 20
# Of the problem: a client looks for its file in the last few KiB.
_MOST_CHARACTERS: Final = 500


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many of the next bytes; none at the end."""


def pack(
    bundles: Iterable[Bundle],
    others: Iterable[tuple[str, Sequence[Belonging]]] = (),
    *,
    layout: int,
    version: str,
) -> Iterator[bytes]:
    """Yield a tar: what wrote it; for each run its points, if it has some, and the run as JSON; the rest.

    Where that cannot be had to its end, the last file says why, and nobody takes it for a whole one.
    """
    head = {"format": FORMAT, "layout": layout, "wattle": version}
    yield from _member(_HEAD, _line(head))
    try:
        yield from _content_of(bundles, others)
    except WattleError as error:
        log.warning("an export is not whole: %s", error)
        yield from _member(PROBLEM_FILE, _line({"problem": str(error)[:_MOST_CHARACTERS]}))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content_of(
    bundles: Iterable[Bundle], others: Iterable[tuple[str, Sequence[Belonging]]]
) -> Iterator[bytes]:
    count = 0
    for bundle in bundles:
        count += 1
        if bundle.points:
            yield from _member(f"{_POINTS}{bundle.run_id}.parquet", encode_points(bundle.points))
        run = {"run_id": bundle.run_id, "record": dict(bundle.record), "parts": dict(bundle.parts)}
        yield from _member(f"{_RUNS}{bundle.run_id}.jsonl", _line(run))
    for name, own in others:
        lines = ({"kind": known.kind, "name": known.name, "content": known.content} for known in own)
        yield from _member(f"{_OTHERS}{name}.jsonl", b"".join(map(_line, lines)))
    yield from _member(END_FILE, _line({"runs": count}))


def unpack(stream: Readable, *, layout: int) -> Iterator[Bundle | Belonging]:
    """Yield what is in a tar. Raises InvalidInput for what is none, not whole, or of a newer version."""
    try:
        # As a stream: it goes forward only, and no more than one file of it is in memory.
        with tarfile.open(fileobj=cast("Any", stream), mode="r|", bufsize=_PIECE_BYTES) as tar:
            members = iter(tar)
            _check_head(_json(tar, next(members, None)), layout)
            points: dict[str, bytes] = {}
            for member in members:
                if member.name.startswith(_POINTS):
                    points = decode_points(_content(tar, member))
                elif member.name.startswith(_RUNS):
                    yield _bundle(_json(tar, member), points)
                    points = {}
                elif member.name.startswith(_OTHERS):
                    yield from map(_belonging, _objects(tar, member))
                elif member.name == PROBLEM_FILE:
                    problem = str(_json(tar, member).get("problem"))[:_MOST_CHARACTERS]
                    raise InvalidInput(f"The export is not whole, for when it was made: {problem}")
                elif member.name == END_FILE:
                    return
            raise _invalid("it ends too soon")
    except (tarfile.TarError, ArchiveUnavailable, EOFError) as error:
        raise _invalid(f"it cannot be read ({error})") from error


def _member(name: str, content: bytes) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    yield info.tobuf(tarfile.PAX_FORMAT)
    yield content
    yield bytes(-len(content) % tarfile.BLOCKSIZE)


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, sort_keys=True).encode() + b"\n"


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.size <= MOST_RUN_BYTES else None
    if file is None:
        raise _invalid(f"{member.name[:80]!r} is no file, or has more than {MOST_RUN_BYTES >> 20} MiB")
    content = file.read()
    if len(content) != member.size:
        raise _invalid("it ends too soon")
    return content


def _json(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> dict[str, Any]:
    if member is None:
        raise _invalid("it is empty")
    return _object(member, _content(tar, member))


def _objects(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[dict[str, Any]]:
    return (_object(member, line) for line in _content(tar, member).splitlines())


def _object(member: tarfile.TarInfo, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{member.name[:80]!r} is not JSON") from error
    if not isinstance(found, dict):
        raise _invalid(f"{member.name[:80]!r} is no JSON object")
    return found


def _check_head(head: dict[str, Any], layout: int) -> None:
    for name, newest in (("format", FORMAT), ("layout", layout)):
        written = head.get(name)
        if type(written) is not int or written < 1:
            raise _invalid("it does not begin as one")
        if written > newest:
            raise InvalidInput(
                f"The export is of {name} {written}, and this version of Wattle knows those up to {newest}. "
                f"Upgrade it to {str(head.get('wattle'))[:40]} at least."
            )


def _bundle(run: dict[str, Any], points: dict[str, bytes]) -> Bundle:
    run_id, record, parts = run.get("run_id"), run.get("record"), run.get("parts")
    if not (isinstance(run_id, str) and isinstance(record, dict) and isinstance(parts, dict)):
        raise _invalid("a run in it lacks its id, record or parts")
    digest = hashlib.sha1(_line([run_id, record, parts]), usedforsecurity=False)
    for name, stored in sorted(points.items()):
        digest.update(name.encode() + stored)
    return Bundle(run_id, record, parts, points, digest.hexdigest())


def _belonging(found: dict[str, Any]) -> Belonging:
    kind, name = found.get("kind"), found.get("name")
    if not (isinstance(kind, str) and isinstance(name, str)):
        raise _invalid("something in it lacks its kind or name")
    return Belonging(kind, name, found.get("content"))


def _invalid(reason: str) -> InvalidInput:
    return InvalidInput(f"The file is no export of Wattle: {reason}. Make one with wattle export.")


class Pieces(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as the next piece goes."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
