"""Keeps ``results/leaderboard.csv`` up to date, in a thread of its own that nobody waits for."""

from __future__ import annotations

import csv
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from errors import ArchiveUnavailable, StoreUnavailable
from leaderboard.board import Board
from leaderboard.results_file import write_results
from leaderboard.table import Table

log = logging.getLogger(__name__)

NAME: Final = "leaderboard.csv"
PREVIOUS: Final = "leaderboard.previous.csv"
_EVERY_S: Final = 1.0
# At most this share of the time is spent on the file, however many runs there are.
_SHARE: Final = 0.05
# A disk that hangs does not keep a program from ending.
_LONGEST_S: Final = 1.0


class ResultsWriter:
    """Writes the file of one folder whenever finished runs have changed.

    Of several programs with the same folder one writes, until it ends. The file is replaced as a whole:
    whoever reads it sees the old one or the new one.
    """

    def __init__(self, board: Board, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._folder = folder
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._next_s = 0.0
        self._written: Table | None = None
        self._lock: TextIOWrapper | None = None
        self._is_failing = False

    def begin(self) -> None:
        """Start to look and to write in a thread, if it is time and none is at it."""
        if self._clock() < self._next_s or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="leaderboard", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait for the thread that is at it, if one is."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def close(self) -> None:
        """Let another program write from now on, once what is being written is written."""
        self.wait(_LONGEST_S)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write(self) -> bool:
        """Write the file if finished runs have changed since; False where that is another program's work."""
        table = self._board.refresh()
        if table is self._written or (self._written is None and not len(table)):
            # A store without a finished run, perhaps a new one, is no reason to throw an older file away.
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._is_elected():
            return False
        if self._written is None:
            self._keep_previous(table)
        draft = self._folder / f".{NAME}.draft"
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.writelines(write_results(table))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / NAME)
        self._written = table
        return True

    def _run(self) -> None:
        start_s = self._clock()
        try:
            self.write()
            self._is_failing = False
        except (ArchiveUnavailable, StoreUnavailable, OSError) as error:
            if not self._is_failing:
                log.warning("%s is not up to date and will be tried again: %s", self._folder / NAME, error)
            self._is_failing = True
        finally:
            now_s = self._clock()
            self._next_s = now_s + max(_EVERY_S, (now_s - start_s) / _SHARE)

    def _is_elected(self) -> bool:
        """Hold the folder's lock, or try to get it; it ends with this process."""
        if self._lock is None:
            lock = (self._folder / f".{NAME}.lock").open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True

    def _keep_previous(self, table: Table) -> None:
        """Keep a file with runs that are not in the store: it may be all that is left of them."""
        path = self._folder / NAME
        if not path.exists():
            return
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            listed = {row.get("run_id") for row in csv.DictReader(file)}
        if listed - set(table.all_ids()):
            path.replace(self._folder / PREVIOUS)
            log.info("kept a file with other runs as %s", self._folder / PREVIOUS)
