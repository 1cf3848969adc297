"""The file that keeps an attempt's writes while Redis is away, should the worker die meanwhile.

JSON lines: who wrote them, then the writes in their order. A lock on the file says that its worker lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from pydantic import ValidationError

from errors import LeaseLost, StoreUnavailable, WattleError
from redis_db import RedisDB
from schema import Lease, Record
from trainers.places import sync_folder
from work.writes import EpochWrite, FinishWrite, ReleaseWrite, Write, decode, encode, make

log = logging.getLogger(__name__)

FOLDER, SUFFIX = "spool", ".jsonl"
UNREADABLE = ".unreadable"
# A crash of the machine, not of the worker alone, must not cost these.
_DURABLE = (EpochWrite, ReleaseWrite, FinishWrite)

# What is left to do with the files of a run whose finish has been recorded.
OnFinished = Callable[[Lease, FinishWrite], None]


class Head(Record):
    """The first line of a file."""

    host: str
    lease: Lease


class Spool:
    """The file of one attempt; there is none until something is added.

    A disk that fails is warned about, once: then memory alone keeps the writes.
    """

    def __init__(self, folder: Path, lease: Lease) -> None:
        self._lease = lease
        self._path = folder / _name_file(lease)
        self._stream: TextIO | None = None
        self._has_failed = False

    @property
    def is_open(self) -> bool:
        """True while there is a file to which later writes belong."""
        return self._stream is not None

    def add(self, writes: Sequence[Write]) -> None:
        """Append writes; on disk when this returns, if an epoch or an ending is among them."""
        if self._has_failed:
            return
        try:
            self._stream = self._stream or self._open()
            self._stream.writelines(f"{encode(write)}\n" for write in writes)
            self._stream.flush()
            if any(isinstance(write, _DURABLE) for write in writes):
                os.fsync(self._stream.fileno())
        except OSError as error:
            self._has_failed = True
            log.warning(
                "the spool cannot be written, memory alone keeps what Redis misses run_id=%s: %s",
                self._lease.run_id,
                error,
            )

    def discard(self) -> None:
        """Delete the file: what is in it has been written, or never may be."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        self._path.unlink(missing_ok=True)
        _close(stream)

    def _open(self) -> TextIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Under its own name only once it is locked: else another worker might take it for a dead one's.
        hidden = self._path.with_name(f".{self._path.name}")
        stream = hidden.open("w", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stream.write(f"{Head(host=platform.node(), lease=self._lease).model_dump_json()}\n")
            stream.flush()
            hidden.rename(self._path)
            sync_folder(self._path.parent)
        except OSError:
            hidden.unlink(missing_ok=True)
            _close(stream)
            raise
        log.info("writes are kept in %s", self._path)
        return stream


def _close(stream: TextIO) -> None:
    """Close a file; what could not be flushed to a full disk is tried once more by that, in vain."""
    with contextlib.suppress(OSError):
        stream.close()


def _name_file(lease: Lease) -> str:
    worker = re.sub(r"[^0-9A-Za-z_-]", "_", lease.worker_id)[-80:]
    return f"{worker}.{lease.run_id}.{lease.attempt}{SUFFIX}"


def replay_left(db: RedisDB, folder: Path, *, on_finished: OnFinished) -> None:
    """Make the writes that dead workers of this host could not make, under their own fences.

    Safe to be killed at any line: the next one starts the file again. A file that cannot be opened, read or
    deleted is warned about and left. Raises StoreUnavailable.
    """
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        try:
            with _locked(path) as stream:
                if stream is not None:
                    _replay(db, path, stream, on_finished)
        except OSError as error:
            log.warning("a spool file is left as it is, it cannot be handled: %s", error)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO | None]:
    """Open a file that nobody else holds; None where its worker lives, or somebody else was faster."""
    try:
        # For writing, too: NFS gives no exclusive lock on a file that is open for reading alone.
        stream = path.open("rb+")
    except FileNotFoundError:
        yield None
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Deleted since it was opened: its writes have been made.
        yield stream if os.fstat(stream.fileno()).st_nlink else None


def _replay(db: RedisDB, path: Path, stream: BinaryIO, on_finished: OnFinished) -> None:
    # Without its end a line was being written when the worker died, perhaps within a character.
    lines = [line for line in stream if line.endswith(b"\n")]
    try:
        head = Head.model_validate_json(lines[0])
        if head.host != platform.node():
            return  # in a folder that hosts share: its worker may live there
        writes = [decode(line.decode("utf-8")) for line in lines[1:]]
    except (ValidationError, UnicodeDecodeError, IndexError) as error:
        path.rename(path.with_name(path.name + UNREADABLE))
        log.warning("a spool file cannot be read and is set aside as %s%s: %s", path, UNREADABLE, error)
        return
    finish = writes[-1] if writes and isinstance(writes[-1], FinishWrite) else None
    try:
        made = _make_all(db, head.lease, writes)
        log.info("replayed %d writes of a dead worker run_id=%s", made, head.lease.run_id)
    except LeaseLost as error:
        if finish is None or not _has_finished(db, head.lease, finish):
            finish = None
            log.warning("what a dead worker could not write is dropped, others took its run: %s", error)
    if finish is not None:
        on_finished(head.lease, finish)
    path.unlink(missing_ok=True)


def _has_finished(db: RedisDB, lease: Lease, finish: FinishWrite) -> bool:
    """Whether the finish, and so all before it, has been recorded: somebody died after that."""
    try:
        return _make_all(db, lease, [finish]) == 1
    except LeaseLost:
        return False


def _make_all(db: RedisDB, lease: Lease, writes: Sequence[Write]) -> int:
    made = 0
    for write in writes:
        try:
            make(write, db, lease)
            made += 1
        except (LeaseLost, StoreUnavailable):
            raise
        except WattleError as error:
            log.warning("a write is refused and left out run_id=%s: %s", lease.run_id, error)
    return made
