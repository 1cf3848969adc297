"""Memory that outlives its process: where the training loop writes, and a thread reads.

A file of /dev/shm, mapped: what was written into it is there after a SIGKILL, and no write is a system call.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

# Per half: the generation of what is in it, and where that ends, counted from the half's first byte.
_HEAD = struct.Struct("<QQ")
_TAIL = struct.Struct("<Q")
_TAIL_AT = 8
# A value on a GPU is waited for while it is written.
_LONGEST_WRITE_S = 30.0
HEADS = 2 * _HEAD.size
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 not a temporary file: memory


class Filled(NamedTuple):
    """What a half holds; a generation is never used again within a session."""

    generation: int
    data: bytes


class Window:
    """Two halves: one is written, the other is being emptied or empty.

    Who writes takes ``lock``, writes at ``offset`` while that stays within ``limit``, and commits. A kill
    between the two leaves what was committed before.
    """

    def __init__(self, memory: memoryview, *, is_new: bool = True) -> None:
        self.memory = memory
        self.lock = threading.Lock()
        self._size = (len(memory) - HEADS) // 2
        self._active, self._generation = 0, 0
        if is_new:
            self._activate(0)

    def _activate(self, half: int) -> None:
        self._generation += 1
        self._active = half
        _HEAD.pack_into(self.memory, half * _HEAD.size, self._generation, 0)
        self.start = HEADS + half * self._size
        self.offset, self.end = self.start, self.start + self._size
        # At the half's middle, who writes is to ring: see widen.
        self.limit = self.start + self._size // 2
        self.tail_at = half * _HEAD.size + _TAIL_AT

    def commit(self, end: int) -> None:
        """Make what was written before ``end`` count. The lock is held."""
        _TAIL.pack_into(self.memory, self.tail_at, end - self.start)
        self.offset = end

    def widen(self) -> bool:
        """Open the rest of this half; False when it is open already. The lock is held."""
        was_narrow, self.limit = self.limit < self.end, self.end
        return was_narrow

    def put(self, data: bytes) -> bool:
        """Write and commit; False where there is no room. The lock is held."""
        end = self.offset + len(data)
        if end > self.end:
            return False
        self.memory[self.offset : end] = data
        self.commit(end)
        return True

    def turn(self) -> Filled | None:
        """Make the other half the one that is written, and return what is in this one; None when empty.

        Only with the other half empty: one thread turns, keeps what it got, and clears.
        """
        # A KeyboardInterrupt just after a writer took the lock leaves it taken for ever; it is released here.
        self.lock.acquire(timeout=_LONGEST_WRITE_S)
        try:
            frozen = self._active
            if self.offset == self.start:
                return None
            self._activate(1 - frozen)
        finally:
            self.lock.release()
        return self.read(frozen)

    def read(self, half: int) -> Filled:
        """Return what was committed in a half."""
        generation, tail = _HEAD.unpack_from(self.memory, half * _HEAD.size)
        start = HEADS + half * self._size
        return Filled(generation, bytes(self.memory[start : start + min(tail, self._size)]))

    def clear(self) -> None:
        """Empty the half that is not written: what was in it is kept elsewhere."""
        _TAIL.pack_into(self.memory, (1 - self._active) * _HEAD.size + _TAIL_AT, 0)

    def leftovers(self) -> list[Filled]:
        """Return what a process that died left, oldest first."""
        return sorted(filled for half in (0, 1) if (filled := self.read(half)).data)


def create_memory(name: str, size: int, folder: Path) -> tuple[memoryview, Path | None]:
    """Return zeroed memory and the file it is in, in /dev/shm or else the folder; None when in no file.

    Every byte is reserved at once: a mapped file on a full disk ends the process at a write.
    """
    places = [SHARED_MEMORY, folder] if sys.platform == "linux" else [folder]
    for place in places:
        path = place / name
        try:
            return _create(path, size), path
        except OSError as error:
            path.unlink(missing_ok=True)
            log.debug("no shared memory path=%s: %s", path, error)
    log.warning("Nowhere to keep points that outlive this process: a killed one loses its last half second.")
    return memoryview(bytearray(size)), None


def _create(path: Path, size: int) -> memoryview:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            os.write(file, bytes(size))
        memory = memoryview(mmap.mmap(file, size))
        memory[:] = bytes(size)  # the pages are there before the loop wants them
        return memory
    finally:
        os.close(file)


def open_memory(path: Path) -> memoryview:
    """Map the memory that another process left. Raises OSError when it is gone."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return memoryview(mmap.mmap(file, 0))
    finally:
        os.close(file)


def unmap(memory: memoryview, parts: Iterable[memoryview]) -> None:
    """Give memory and its descriptor back; who still writes into a part of it gets a ValueError.

    Where a value is being written at this very moment, it is given back with the last reference to it.
    """
    mapped = memory.obj
    try:
        for part in (*parts, memory):
            part.release()
        if isinstance(mapped, mmap.mmap):
            mapped.close()
    except BufferError as error:
        log.debug("memory is given back later: %s", error)
