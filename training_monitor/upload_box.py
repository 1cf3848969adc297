"""Files that wait for the server, in the folder of their session: what a killed process has left is sent.

Of each there is ``<number>.data``, and last of all ``<number>.json``, which makes it count. ``<number>.done``
remembers as which version the server has it, for whoever registers it as a model.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from training_monitor.errors import MonitorError
from training_monitor.turns import Line, Turns

log = logging.getLogger(__name__)

Kind = Literal["file", "image", "graph", "checkpoint", "model"]
WEIGHTS: Final = ("checkpoint", "model")

FOLDER: Final = "uploads"
_DEFAULT_MIB: Final = 4_096
# The server takes so many versions of a run at most.
_MOST_WAITING: Final = 10_000
# What a file or its description is found to be after the machine has died in the middle of it.
_LOST: Final = (FileNotFoundError, ValueError, TypeError, KeyError)
# What is left of the disk to the training itself.
_FREE_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is to be an artifact of the run."""

    name: str
    kind: Kind
    content_type: str
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registration:
    """A version of a model that is to be made of an artifact.

    upload: the number of the file that it is made of; None for an artifact that the server has already.
    """

    model: str
    artifact: str
    version: int | None = None
    upload: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is to be sent next, and where it is."""

    number: int
    item: Upload | Registration
    data: Path


def most_file_bytes() -> int:
    """Return how much of files a session may keep: WATTLE_SPOOL_FILES_MIB, else 4 GiB."""
    given = os.environ.get("WATTLE_SPOOL_FILES_MIB", "")
    return (int(given) if given.isdecimal() else _DEFAULT_MIB) << 20


class UploadBox:
    """Takes files from any thread, also within a signal handler; one thread sends them, oldest first.

    Of what that thread puts off the others are sent, but no file of the same name, and no version of the
    same model.
    """

    def __init__(self, session: Path, *, most_bytes: int) -> None:
        """Take the session's folder, and what a process has left there."""
        self.folder = session / FOLDER
        self._most_bytes = most_bytes
        left = sorted(int(path.stem) for path in self.folder.glob("*.json"))
        self._new: deque[int] = deque()
        self._waiting = left
        self._turns = Turns(self._lines_of)
        self._versions: dict[int, int] = {}
        # A dict, whose changes are atomic: there is no lock that a signal handler could find taken.
        self._sizes = {number: self._size_of(number) for number in left}
        self._numbers = itertools.count(max(map(_number, self.folder.glob("*.*")), default=0) + 1)

    def put(self, upload: Upload, size_bytes: int, write: Callable[[BinaryIO], object]) -> int:
        """Keep a file that ``write`` writes, and return its number.

        Raises MonitorError when there is no room for it, OSError when the disk fails; then nothing is kept.
        """
        number = next(self._numbers)
        self._check_room(size_bytes)
        self._sizes[number] = size_bytes
        path = self._path(number, "data")
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with path.open("xb") as stream:
                write(stream)
                written = stream.tell()
            self._commit(number, {"upload": asdict(upload), "size_bytes": written})
        except BaseException:
            self._sizes.pop(number, None)
            path.unlink(missing_ok=True)
            raise
        return number

    def put_registration(self, registration: Registration) -> None:
        """Keep a registration, behind the files that are there. Raises MonitorError or OSError as ``put``."""
        number = next(self._numbers)
        self._check_room(0)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._sizes[number] = 0
        self._commit(number, {"registration": asdict(registration)})

    def next(self, now_s: float) -> Waiting | None:
        """Return what is to be sent; None when there is nothing now.

        now_s: of the clock of ``put_off``. Raises OSError when it cannot be read just now.
        """
        while self._new:
            self._waiting.append(self._new.popleft())
        while (number := self._turns.next(self._waiting, now_s)) is not None:
            try:
                return self._read(number)
            except _LOST as error:
                # The machine died before its disk had all of it.
                log.warning("A file that waited is lost path=%s: %s", self._path(number, "data"), error)
                self.settle(number)
        return None

    def put_off(self, number: int, now_s: float, took_s: float) -> int:
        """Let others by for a while, and return how often that was so; more after each try."""
        return self._turns.put_off(number, now_s, took_s)

    def _lines_of(self, number: int) -> Sequence[Line]:
        try:
            item = self._read(number).item
        except _LOST:
            return ()  # lost at its turn
        if isinstance(item, Upload):
            return [("file", item.name)]
        return [("file", item.artifact), ("model", item.model)]

    def _read(self, number: int) -> Waiting:
        kept, data = json.loads(self._path(number, "json").read_bytes()), self._path(number, "data")
        if "registration" in kept:
            return Waiting(number, Registration(**kept["registration"]), data)
        if (found := data.stat().st_size) != kept["size_bytes"]:
            raise ValueError(f"it has {found} bytes, not {kept['size_bytes']}")
        return Waiting(number, Upload(**kept["upload"]), data)

    def settle(self, number: int, version: int | None = None) -> None:
        """Forget what the server has, as this version, or will never take."""
        if version is not None:
            self._versions[number] = version
            # Where the disk is full, what is deleted next makes room.
            with contextlib.suppress(OSError):
                self._write(number, "done", {"version": version})
        self._path(number, "json").unlink(missing_ok=True)
        self._path(number, "data").unlink(missing_ok=True)
        self._waiting.remove(number)
        self._turns.forget(number)
        self._sizes.pop(number, None)

    def version_of(self, number: int) -> int | None:
        """Return the version that a file of this session has become; None when the server did not take it."""
        if number in self._versions:
            return self._versions[number]
        path = self._path(number, "done")
        return int(json.loads(path.read_bytes())["version"]) if path.exists() else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self._waiting or self._new)

    def _check_room(self, size_bytes: int) -> None:
        used = sum(list(self._sizes.values()))
        if used + size_bytes > self._most_bytes:
            raise MonitorError(
                f"Files of {used >> 20} MiB wait for the server, and this one has {size_bytes >> 20}: more "
                f"than WATTLE_SPOOL_FILES_MIB={self._most_bytes >> 20}. It is lost."
            )
        if len(self._sizes) >= _MOST_WAITING:
            raise MonitorError(f"{_MOST_WAITING} files wait for the server already; this one is lost.")
        if size_bytes and shutil.disk_usage(self.folder.parent).free < size_bytes + _FREE_BYTES:
            raise MonitorError(
                f"The disk of {self.folder} has no room for {size_bytes >> 20} MiB; it is lost."
            )

    def _commit(self, number: int, content: Mapping[str, Any]) -> None:
        self._write(number, "json", content)
        self._new.append(number)

    def _write(self, number: int, suffix: str, content: Mapping[str, Any]) -> None:
        new = self._path(number, "new")
        new.write_text(json.dumps(content))
        new.replace(self._path(number, suffix))

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:08d}.{suffix}"

    def _size_of(self, number: int) -> int:
        try:
            return self._path(number, "data").stat().st_size
        except FileNotFoundError:
            return 0


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdecimal() else 0
