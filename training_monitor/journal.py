"""Append-only files of what is still to be sent, and how far that has come."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_CHUNK = struct.Struct("<4sQII")  # magic, generation, length, CRC-32
_MAGIC = b"WtJ1"
_PLACE = struct.Struct("<QQQQ")
SEGMENT_BYTES = 8 << 20


class Chunk(NamedTuple):
    """A piece of a file; ``end`` is the offset behind it. Generation 0 came from no window."""

    end: int
    generation: int
    data: bytes


class Place(NamedTuple):
    """The batch that is being sent: its number, and the bytes of a segment that it is made of.

    It is on disk before it is sent, so that after any death the same bytes have the same number.
    """

    seq: int
    segment: int
    start: int
    end: int


class Journal:
    """The files ``<name>-<number>`` of a folder. Written by one thread, read by one other.

    fsynced by ``sync`` only: what was appended survives the process, not always the machine.
    """

    def __init__(self, folder: Path, name: str, *, first: Callable[[], bytes] = bytes) -> None:
        """Open what is there, or start.

        first: gives what a segment begins with, so that it can be read without those before it.
        """
        self._folder, self._name, self._first = folder, name, first
        found = sorted(int(path.suffix[1:]) for path in folder.glob(f"{name}.[0-9]*"))
        self.place = self._read_place(found[0] if found else 1)
        self._segments = found or [self.place.segment]
        self._written = self._find_end()
        self._stream = -1
        self._unsynced = False

    def append(self, data: bytes, generation: int = 0) -> int:
        """Keep a chunk; what has died since it was returned from keeps it, too. Raises OSError."""
        if self._written > SEGMENT_BYTES:
            self._begin_segment()
        if self._stream < 0:
            self._open()
        if not self._written and (first := self._first()):
            self._write(first, 0)
        self._write(data, generation)
        return len(data)

    def _write(self, data: bytes, generation: int) -> None:
        head = _CHUNK.pack(_MAGIC, generation, len(data), zlib.crc32(data))
        written = os.pwrite(self._stream, head + data, self._written)
        if written < len(head) + len(data):
            raise OSError("The disk of the spool is full.")
        self._written += written
        self._unsynced = True

    def sync(self) -> None:
        """Put what was appended on the disk. Raises OSError."""
        if self._unsynced and self._stream >= 0:
            self._unsynced = False
            os.fsync(self._stream)

    def next_chunks(self, seq: int, most_bytes: int) -> list[Chunk]:
        """Return the chunks behind the place, at least one if there is any, and note them as batch ``seq``.

        All are of one segment; those before it are deleted. Empty when nothing is left.
        """
        place = self.place
        while True:
            # Before it is read: what is appended meanwhile may be its last and begin the next one.
            newest = self._segments[-1]
            chunks = list(self._take(place.segment, place.end, most_bytes))
            if chunks or place.segment >= newest:
                break
            place = Place(place.seq, min(n for n in self._segments if n > place.segment), 0, 0)
        if chunks:
            self._mark(Place(seq, place.segment, place.end, chunks[-1].end))
            self._drop_before(place.segment)
        return chunks

    def _drop_before(self, segment: int) -> None:
        for sent in [number for number in self._segments if number < segment]:
            self._path(sent).unlink(missing_ok=True)
            self._segments.remove(sent)

    def current(self) -> list[Chunk]:
        """Return the chunks of the batch that was noted last; it may have arrived or not."""
        place = self.place
        return [chunk for chunk in self.scan(place.segment, place.start) if chunk.end <= place.end]

    def scan(self, segment: int, start: int = 0) -> Iterator[Chunk]:
        """Yield the chunks from an offset on, up to the first that is not whole."""
        try:
            with self._path(segment).open("rb") as stream:
                stream.seek(start)
                while len(head := stream.read(_CHUNK.size)) == _CHUNK.size:
                    magic, generation, length, checksum = _CHUNK.unpack(head)
                    data = stream.read(length)
                    if magic != _MAGIC or len(data) < length or zlib.crc32(data) != checksum:
                        return
                    start += _CHUNK.size + length
                    yield Chunk(start, generation, data)
        except FileNotFoundError:
            return

    def last_generation(self) -> int:
        """Return the newest generation that was kept in full."""
        kept = (chunk.generation for segment in self._segments for chunk in self.scan(segment))
        return max(kept, default=0)

    def size(self) -> int:
        """Return the bytes of the files, those that are sent among them."""
        return SEGMENT_BYTES * (len(self._segments) - 1) + self._written

    @property
    def is_empty(self) -> bool:
        """Whether all that was appended is in a batch."""
        return self.place.segment >= self._segments[-1] and self.place.end >= self._written

    def close(self) -> None:
        """Close the file."""
        if self._stream >= 0:
            os.close(self._stream)
            self._stream = -1

    def _take(self, segment: int, start: int, most_bytes: int) -> Iterator[Chunk]:
        taken = 0
        for chunk in self.scan(segment, start):
            taken += len(chunk.data)
            if taken > most_bytes and taken > len(chunk.data):
                return
            yield chunk

    def _mark(self, place: Place) -> None:
        """Note a batch before it is sent."""
        with (self._folder / f"{self._name}.place").open("r+b" if self._has_place() else "wb") as stream:
            stream.write(_PLACE.pack(*place))
        self.place = place

    def _begin_segment(self) -> None:
        self.close()
        self._segments.append(self._segments[-1] + 1)
        self._written = 0

    def _open(self) -> None:
        self._stream = os.open(self._path(self._segments[-1]), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _find_end(self) -> int:
        return max((chunk.end for chunk in self.scan(self._segments[-1])), default=0)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{self._name}.{segment:06d}"

    def _has_place(self) -> bool:
        return (self._folder / f"{self._name}.place").exists()

    def _read_place(self, first: int) -> Place:
        path = self._folder / f"{self._name}.place"
        if path.exists() and len(kept := path.read_bytes()) == _PLACE.size:
            return Place(*_PLACE.unpack(kept))
        return Place(0, first, 0, 0)
