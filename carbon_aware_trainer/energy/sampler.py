"""The one sampler of a machine, in whichever worker holds the lock."""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from carbon_aware_trainer.energy.bell import Bell
from carbon_aware_trainer.energy.codecarbon_process import CodeCarbonProcess
from carbon_aware_trainer.energy.host import HostSampler
from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.energy.roster import Roster
from carbon_aware_trainer.energy.sample_log import LogWriter

INTERVAL_S = 0.1
_ROSTER_NS = 10**9
# CodeCarbon takes a second of CPU time to start: not while the worker itself starts.
_CODECARBON_AFTER_NS = 3 * 10**9


class Election:
    """A lock that one process of this machine holds; the kernel takes it back when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: int | None = None
        self.is_won = False

    def try_to_win(self) -> bool:
        """Take the lock if nobody holds it. Raises OSError."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_won = True
        except BlockingIOError:
            self.is_won = False
        self.keep()
        return self.is_won

    def keep(self) -> None:
        """Keep the lock's file from ageing; step down if it is no longer the one that others would lock.

        Raises OSError.
        """
        if self._file is None:
            return
        try:
            is_same = os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            is_same = False
        if is_same:
            os.utime(self._file)
        else:
            self.step_down()

    def step_down(self) -> None:
        """Let another worker have the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self.is_won = False


class Session:
    """Samples the machine until it is told to stop, and answers those who ring."""

    def __init__(
        self,
        folder: Path,
        host: HostSampler,
        *,
        codecarbon: CodeCarbonProcess | None = None,
        interval_s: float = INTERVAL_S,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        """Raises OSError when the folder cannot be used."""
        self._host, self._codecarbon = host, codecarbon
        self._interval_ns = round(interval_s * 1e9)
        self._clock = clock
        self._roster = Roster(folder)
        self._roster_ns = 0
        self._described: object = None
        with ExitStack() as opened:
            self._log = LogWriter(folder, uuid.uuid4().hex)
            opened.callback(self._log.close)
            self._bell = Bell(folder)
            opened.callback(self._bell.close)
            self.look_at_roster()
            self._opened = opened.pop_all()

    def run(self, is_over: Callable[[], bool], on_sample: Callable[[], None]) -> None:
        """Sample at the interval, and at once when somebody rings."""
        next_ns = begun_ns = self._clock()
        while not is_over():
            rings = self._bell.wait((next_ns - self._clock()) / 1e9)
            self._log.append(self._host.sample())
            if "roster" in rings.values() or self._clock() - self._roster_ns >= _ROSTER_NS:
                self.look_at_roster()
            if self._codecarbon and self._clock() - begun_ns > _CODECARBON_AFTER_NS:
                self._codecarbon.start()
            if self._codecarbon and (figure := self._codecarbon.find_new()):
                self._log.append_other(figure)
            if rings:
                self._log.flush()
                self._bell.answer(rings)
            next_ns = max(next_ns + self._interval_ns, self._clock()) if not rings else next_ns
            on_sample()

    def look_at_roster(self) -> None:
        """Take over who is there; where that changes what is read, say so in the log and count it."""
        self._roster_ns = self._clock()
        workers = self._roster.read()
        for pid in self._host.enter(workers):
            self._roster.remove(pid)
        described = (self._host.sources, dict(self._host.failed_gpus), [worker.pid for worker in workers])
        if described != self._described:
            self._described = described
            self._log.describe(self._host.sources, self._host.failed_gpus)
            self._log.append(self._host.sample())
            self._log.flush()

    def close(self) -> None:
        """Give the bell and the log back; the host and CodeCarbon belong to the caller."""
        self._opened.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
