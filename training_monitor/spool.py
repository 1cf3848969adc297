"""What a monitor has to say, kept until the server has it: the loop's windows and the journals behind them.

A folder per session: ``head.json`` (whose it is), ``lock`` (whether that process lives), and per stream its
journal. The windows are in shared memory, so that a kill loses nothing that was logged.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from training_monitor.errors import MonitorError
from training_monitor.journal import Journal
from training_monitor.ownership import NOTE_BYTES, Owner, is_our_memory, is_ours
from training_monitor.window import (
    HEADS,
    SHARED_MEMORY,
    Filled,
    Window,
    create_memory,
    open_memory,
    unmap,
)

log = logging.getLogger(__name__)

Stream = Literal["points", "lines", "acts"]
# Bytes of a window's half. Points: 37,000 calls of four, 45 ms of nothing but logging.
_HALVES: Final[dict[Stream, int]] = {"points": 2 << 20, "lines": 256 << 10, "acts": 256 << 10}
STREAMS: Final = tuple(_HALVES)
_DEFAULT_SPOOL_MIB: Final = 1_024
_WINDOWS_BYTES: Final = sum(HEADS + 2 * half for half in _HALVES.values())
MEMORY_NAME: Final = "wattle-"
_HEAD, _LOCK, _RUN_ID, _REFUSAL = "head.json", "lock", "run_id", "refused.txt"
_SET_ASIDE: Final = "refused-"


@dataclass(frozen=True, slots=True)
class Head:
    """Whose session it is, and how its run is made if it is not yet."""

    session: str
    api_url: str
    host: str
    memory: str | None
    key: str  # of the request that makes the run, so that it is made once
    experiment: dict[str, Any]


class Spool:
    """The kept part of one session. ``drain`` belongs to one thread, reading the journals to one other."""

    def __init__(self, folder: Path, head: Head, memory: memoryview, lock: int, *, is_new: bool) -> None:
        """Take what ``create`` or ``adopt`` opened."""
        self.folder, self.head, self._memory, self._lock = folder, head, memory, lock
        self.windows = dict(zip(STREAMS, _windows(memory, is_new=is_new), strict=True))
        self.definitions: Callable[[], bytes] = bytes
        self.asides: dict[Stream, Callable[[], bytes]] = {}
        """Of each stream, what gives the records that found no room in its window."""
        self.journals: dict[Stream, Journal] = {
            name: Journal(folder, name, first=lambda: self.definitions()) if name == "points"
            else Journal(folder, name)
            for name in STREAMS
        }  # fmt: skip
        self._waiting: dict[Stream, list[Filled]] = {name: [] for name in STREAMS}
        """What was taken and no disk has yet, oldest first; generation 0 is what no window has any more."""
        self.last = b""
        """An act that is kept once there is nothing else to keep."""
        self.lost_bytes = 0

    @property
    def run_id(self) -> str | None:
        """The run, once the server has made it."""
        path = self.folder / _RUN_ID
        return path.read_text() if path.exists() else None

    def keep_run_id(self, run_id: str) -> None:
        """Remember the run."""
        path = self.folder / f"{_RUN_ID}.new"
        path.write_text(run_id)
        path.replace(self.folder / _RUN_ID)

    def add_facts(self, facts: Mapping[str, Any]) -> None:
        """Add to the environment with which the run is made; what is there already stays. Raises OSError."""
        if not facts:
            return
        environment = {**facts, **self.head.experiment.get("environment", {})}
        head = replace(self.head, experiment={**self.head.experiment, "environment": environment})
        _write_head(self.folder, head)
        self.head = head

    def drain(self, most_bytes: int) -> None:
        """Move what is in the windows to the journals; above ``most_bytes`` of files it is lost, and counted.

        Points come before acts, so that who reads an act finds all points that were logged before it.
        Raises OSError when the disk fails: then what was taken waits in memory and is tried again.
        """
        has_room = sum(journal.size() for journal in self.journals.values()) < most_bytes
        for name in STREAMS:
            self._drain(name, has_room=has_room)
        if self.last:
            self._keep("acts", self.last)
            self.last = b""

    def _drain(self, name: Stream, *, has_room: bool) -> None:
        self._keep_waiting(name, has_room=has_room)
        if (filled := self.windows[name].turn()) is not None:
            self._waiting[name].append(filled)
            self._keep_waiting(name, has_room=has_room)
        if name in self.asides and (data := self.asides[name]()):
            self._waiting[name].append(Filled(0, data))
            self._keep_waiting(name, has_room=has_room)

    def _keep_waiting(self, name: Stream, *, has_room: bool) -> None:
        waiting = self._waiting[name]
        while waiting:
            generation, data = waiting[0]
            self._keep(name, data, generation, has_room=has_room)
            del waiting[0]
            if generation:
                self.windows[name].clear()

    def _keep(self, name: Stream, data: bytes, generation: int = 0, *, has_room: bool = True) -> None:
        # What ends or describes a run is small, and dropping it would leave the run running.
        if has_room or name == "acts":
            self.journals[name].append(data, generation)
            return
        if not self.lost_bytes:
            log.warning("The spool is full, what is logged from now on is lost path=%s", self.folder)
        self.lost_bytes += len(data)

    def salvage(self) -> None:
        """Move what a dead process left in its windows to the journals, where it is not there already."""
        for name in STREAMS:
            kept = self.journals[name].last_generation()
            for generation, data in self.windows[name].leftovers():
                if generation > kept:
                    self.journals[name].append(data, generation)
        self._forget_memory()

    def _forget_memory(self) -> None:
        if self.head.memory:
            Path(self.head.memory).unlink(missing_ok=True)

    @property
    def is_empty(self) -> bool:
        """Whether all is in batches, of which the last may be unanswered."""
        return not self._has_unkept and all(journal.is_empty for journal in self.journals.values())

    @property
    def _has_unkept(self) -> bool:
        return bool(self.last or any(self._waiting.values()))

    def sync(self) -> None:
        """Put the journals on the disk. Raises OSError."""
        for journal in self.journals.values():
            journal.sync()

    def close(self) -> None:
        """Give the session up: another process may adopt it."""
        for journal in self.journals.values():
            journal.close()
        os.close(self._lock)
        # Not left to the garbage collector: who reports one run after the other had dozens of them.
        unmap(self._memory, [window.memory for window in self.windows.values()])

    def give_memory_back(self) -> None:
        """Need the memory no more; what no disk has taken stays there for who adopts the session.

        Of the thread that drains, when it ends.
        """
        self._put_back()
        if not self._has_unkept and not any(window.leftovers() for window in self.windows.values()):
            self._forget_memory()

    def _put_back(self) -> None:
        """Put what the disk refused, and no window has any more, into the windows."""
        for name, waiting in self._waiting.items():
            unseen = [data for generation, data in waiting if not generation]
            last = [self.last] if name == "acts" and self.last else []
            for data in unseen + last:
                window = self.windows[name]
                # Nobody writes any more; a call that a signal has torn apart may have left it locked.
                if not self.head.memory or not window.put(data):
                    self.lost_bytes += len(data)
                    log.warning("The disk is full, %d bytes of %s are lost.", len(data), name)

    def set_aside(self, reason: str) -> Path:
        """Give up a session whose run the server refuses to begin, under a name that is not tried again.

        Returns where it is; one of which a part is in memory alone stays as it is.
        """
        if not (self.head.memory and Path(self.head.memory).exists()):
            aside = self.folder.with_name(f"{_SET_ASIDE}{self.head.session}")
            (self.folder / _REFUSAL).write_text(reason)
            self.folder = self.folder.rename(aside)
        self.close()
        return self.folder

    def discard(self) -> None:
        """Delete everything: the server has it."""
        self._forget_memory()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()


def _windows(memory: memoryview, *, is_new: bool) -> Iterator[Window]:
    start = 0
    for half in _HALVES.values():
        size = HEADS + 2 * half
        yield Window(memory[start : start + size], is_new=is_new)
        start += size


def default_folder() -> Path:
    """Return where sessions are kept: WATTLE_SPOOL_DIR, else the user's state folder."""
    if given := os.environ.get("WATTLE_SPOOL_DIR"):
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "wattle" / "spool"


def create(root: Path, api_url: str, experiment: dict[str, Any]) -> Spool:
    """Start a session. Raises OSError when nothing can be written under ``root``."""
    json.dumps(experiment)  # what cannot be written leaves nothing behind
    session = uuid.uuid4().hex
    folder = root / session
    folder.mkdir(parents=True, mode=0o700)
    lock = _lock(folder)
    if lock is None:
        raise OSError(f"The new folder {folder} is locked by another process.")
    memory, path = create_memory(f"{MEMORY_NAME}{session}", _WINDOWS_BYTES + NOTE_BYTES, folder)
    try:
        with contextlib.suppress(OSError):
            Owner.of(folder).note(memory)
        place = str(path) if path else None
        head = Head(session, api_url, platform.node(), place, uuid.uuid4().hex, experiment)
        # By its name a session is found; the head comes last, whole, and under the lock.
        _write_head(folder, head)
        return Spool(folder, head, memory, lock, is_new=True)
    except BaseException:
        # Without a head nobody would ever find them.
        if path:
            path.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        raise


def open_spool(root: Path, api_url: str, experiment: dict[str, Any], *, is_strict: bool) -> Spool | None:
    """Start a session under ``root``, or else under the folder for temporary files; None when neither works.

    Raises MonitorError instead with ``is_strict``.
    """
    reasons = []
    for place in (root, other := Path(tempfile.gettempdir()) / f"wattle-spool-{os.getuid()}"):
        try:
            if place is other:
                _take_ours(place)
            return create(place, api_url, experiment)
        except OSError as error:
            reasons.append(str(error))
            log.warning("The spool cannot be in %s: %s", place, error)
    if is_strict:
        raise MonitorError(f"There is nowhere to keep what is logged; set WATTLE_SPOOL_DIR. {reasons[0]}")
    return None


def _take_ours(place: Path) -> None:
    """Make a folder where every user can. Raises OSError when another one was there before."""
    place.mkdir(mode=0o700, exist_ok=True)
    if not is_ours(place):
        raise PermissionError(f"{place} is another user's.")
    place.chmod(0o700)


def most_bytes() -> int:
    """Return how much a session may keep: WATTLE_SPOOL_MIB, else 1 GiB."""
    given = os.environ.get("WATTLE_SPOOL_MIB", "")
    return (int(given) if given.isdecimal() else _DEFAULT_SPOOL_MIB) << 20


class Refused(NamedTuple):
    """A session whose run the server refused to begin."""

    name: str
    folder: Path
    reason: str


def list_refused(root: Path) -> list[Refused]:
    """Return what was set aside, oldest first."""
    found = []
    for path in sorted(root.glob(f"{_SET_ASIDE}*/{_REFUSAL}"), key=_changed_s):
        with contextlib.suppress(OSError, ValueError, KeyError):
            head = json.loads((path.parent / _HEAD).read_text())
            found.append(Refused(str(head["experiment"]["name"]), path.parent, path.read_text()))
    return found


def adopt_dead(root: Path, *, any_host: bool = False, is_refused: bool = False) -> Iterator[Spool]:
    """Yield the sessions that no living process has, oldest first, each locked; who takes one closes it.

    is_refused: those that were set aside, instead of the others.
    """
    for path in sorted(root.glob(f"*/{_HEAD}"), key=_changed_s):
        if path.parent.name.startswith(_SET_ASIDE) != is_refused:
            continue
        try:
            if spool := adopt(path.parent, any_host=any_host):
                yield spool
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError) as error:
            log.warning("A spool cannot be read, it is left as it is path=%s: %s", path.parent, error)


def adopt(folder: Path, *, any_host: bool = False, memory: Path | None = None) -> Spool | None:
    """Take a session, with what its memory holds; None when a living process, or another host, has it.

    memory: where its memory is known to be. Raises OSError, ValueError or TypeError for one that cannot be
    read, or is not this user's, or has its memory elsewhere.
    """
    head = _read_head(folder)
    if memory is not None and head.memory != str(memory):
        raise ValueError(f"its memory is not {memory}")
    if not (any_host or head.host == platform.node()) or (lock := _lock(folder)) is None:
        return None
    try:
        if not (folder / _HEAD).exists():
            raise FileNotFoundError(folder)  # its process has just finished it
        spool = Spool(folder, head, _open_memory(head), lock, is_new=False)
        spool.salvage()
    except BaseException:
        os.close(lock)
        raise
    return spool


def _write_head(folder: Path, head: Head) -> None:
    (folder / f"{_HEAD}.new").write_text(json.dumps(asdict(head)))
    (folder / f"{_HEAD}.new").replace(folder / _HEAD)


def _read_head(folder: Path) -> Head:
    """Return whose session it is. What it says of the memory is checked: that file will be deleted."""
    if not (is_ours(folder) and is_ours(folder / _HEAD)):
        raise PermissionError(f"{folder} is another user's.")
    head = Head(**json.loads((folder / _HEAD).read_text()))
    if head.memory is None:
        return head
    name = f"{MEMORY_NAME}{head.session}"
    if Path(head.memory).name != name:
        raise ValueError(f"{head.memory} is no memory of the session {head.session}")
    # The folder may have got another name since.
    is_shared = Path(head.memory) == SHARED_MEMORY / name
    return replace(head, memory=str((SHARED_MEMORY if is_shared else folder) / name))


def _open_memory(head: Head) -> memoryview:
    if head.memory:
        with contextlib.suppress(FileNotFoundError):  # after a restart of the machine
            if not is_our_memory(Path(head.memory)):
                raise PermissionError(f"{head.memory} is not ours alone.")
            return open_memory(Path(head.memory))
    return memoryview(bytearray(_WINDOWS_BYTES))


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _lock(folder: Path) -> int | None:
    """Lock a session for as long as this process lives; None when another one has it."""
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
