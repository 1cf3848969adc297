"""Whose shared memory is: its last bytes name the folder of its session."""

from __future__ import annotations

import json
import os
import stat
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

NOTE_BYTES: Final = 8 << 10
_LENGTH: Final = struct.Struct("<I")
_NAMESPACE: Final = Path("/proc/self/ns/mnt")


@dataclass(frozen=True, slots=True)
class Owner:
    """The folder of a session, and from where it is seen under that name."""

    folder: str
    device: int
    root: tuple[int, int]
    namespace: str

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Describe a folder that is there. Raises OSError where there are no namespaces."""
        return cls(str(folder.resolve()), folder.stat().st_dev, _root(), str(_NAMESPACE.readlink()))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return whose memory this is; None when it does not say so.

        Raises OSError when it is gone, or another user's.
        """
        with path.open("rb") as memory:
            memory.seek(-min(NOTE_BYTES, path.stat().st_size), os.SEEK_END)
            note = memory.read()
        try:
            (length,) = _LENGTH.unpack_from(note)
            found = json.loads(note[_LENGTH.size : _LENGTH.size + length])
            return cls(**found | {"root": tuple(found["root"])})
        except (struct.error, ValueError, TypeError, KeyError):
            return None

    def note(self, memory: memoryview) -> None:
        """Write it into the memory's last bytes, where it has room."""
        text = json.dumps(asdict(self)).encode()
        if _LENGTH.size + len(text) <= NOTE_BYTES:
            note = _LENGTH.pack(len(text)) + text
            start = len(memory) - NOTE_BYTES
            memory[start : start + len(note)] = note

    def is_gone(self) -> bool:
        """Whether the folder is deleted for certain.

        It may also be out of sight: in another container, or on a disk that is not there now.
        """
        try:
            if self.root != _root() or self.namespace != str(_NAMESPACE.readlink()):
                return False
            folder = Path(self.folder)
            above = next(path for path in (folder, *folder.parents) if path.exists())
            return above != folder and above.stat().st_dev == self.device
        except OSError:
            return False


def is_ours(path: Path) -> bool:
    """Whether something is this user's and no link: anyone can put things where memory is. Raises OSError."""
    found = path.lstat()
    return found.st_uid == os.getuid() and not stat.S_ISLNK(found.st_mode)


def is_our_memory(path: Path) -> bool:
    """Whether it is a file that nobody but this user can have written. Raises OSError."""
    found = path.lstat()
    return is_ours(path) and stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077


def _root() -> tuple[int, int]:
    found = Path("/").stat()
    return found.st_dev, found.st_ino
