"""The files of artifacts: ``<place>/<run_id>/{checkpoints,artifacts}/<name>/<number>``. No torch.

A name's slashes become ~, which no name has: so no artifact can lie where another one's folder is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import BinaryIO, Final, NamedTuple
from uuid import uuid4

from trainers.places import Folder, open_folder

CHECKPOINTS: Final = "checkpoints"
OTHERS: Final = "artifacts"
FOLDERS: Final = (CHECKPOINTS, OTHERS)


class Written(NamedTuple):
    """What a file has."""

    size_bytes: int
    sha256: str


class ArtifactFiles:
    """All files of artifacts, each called by its path below their place. Everything raises OSError."""

    def __init__(self, url: str) -> None:
        self._url = url

    def write(
        self, file: str, pieces: Iterable[bytes], check: Callable[[BinaryIO, Written], None]
    ) -> Written:
        """Write a file piece by piece; it is there once ``check`` has seen the whole of it.

        Whatever ``pieces`` or ``check`` raise goes through, and nothing is left of the file.
        """
        folder, name, number = self._locate(file)
        digest, size_bytes = hashlib.sha256(), 0
        with folder.add(name, number) as stream:
            for piece in pieces:
                stream.write(piece)
                digest.update(piece)
                size_bytes += len(piece)
            written = Written(size_bytes, digest.hexdigest())
            stream.seek(0)
            check(stream, written)
        return written

    def open(self, file: str) -> BinaryIO:
        """Open a file for reading."""
        folder, name, number = self._locate(file)
        return folder.open(name, number)

    def has(self, file: str, size_bytes: int) -> bool:
        """Tell whether a file is there, with so many bytes."""
        try:
            with self.open(file) as stream:
                return stream.seek(0, os.SEEK_END) == size_bytes
        except FileNotFoundError:
            return False

    def delete(self, file: str) -> None:
        """Delete a file, or all files of the run that is named; what is not there is no error."""
        if "/" not in file:
            open_folder(self._url, file).clear(lambda name: name in FOLDERS)
            return
        folder, name, number = self._locate(file)
        folder.remove(name, number)

    def _locate(self, file: str) -> tuple[Folder, str, str]:
        try:
            run_id, part, name, number = file.split("/")
        except ValueError as error:
            raise FileNotFoundError(f"{file[:80]!r} is no file of an artifact") from error
        return open_folder(self._url, f"{run_id}/{part}"), name, number


def new_file(run_id: str, name: str, *, is_checkpoint: bool) -> str:
    """Return where a new version of an artifact is written, which nobody else was told."""
    folder = CHECKPOINTS if is_checkpoint else OTHERS
    return f"{run_id}/{folder}/{name.replace('/', '~')}/{uuid4().hex}"
