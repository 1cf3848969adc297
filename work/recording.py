"""Everything a worker writes about a run, in order, kept while Redis is away."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from errors import StoreUnavailable

log = logging.getLogger(__name__)

LOG_FILE_BYTES = 1_000_000
LOG_FILES = 3


class Outbox:
    """Writes that are made in order, each at least once; an unreachable Redis only delays them."""

    def __init__(self) -> None:
        self._writes: deque[Callable[[], None]] = deque()
        self._is_away = False

    def add(self, write: Callable[[], None]) -> None:
        """Queue a write; every write of the store is safe to repeat, so a lost reply does no harm."""
        self._writes.append(write)

    def flush(self) -> bool:
        """Make what is waiting, in order; False when Redis is away and some still wait.

        Raises LeaseLost when the run belongs to another attempt by now.
        """
        try:
            while self._writes:
                self._writes[0]()
                self._writes.popleft()
        except StoreUnavailable as error:
            if not self._is_away:
                log.warning("Redis is away, %d writes wait: %s", len(self._writes), error)
            self._is_away = True
            return False
        if self._is_away:
            log.info("Redis is back, all writes are made")
        self._is_away = False
        return True


class RunLog:
    """The log of one run: a file under ``results/`` and, through the outbox, the store."""

    def __init__(self, results_dir: Path, run_id: str, send: Callable[[list[str]], None]) -> None:
        results_dir.mkdir(parents=True, exist_ok=True)
        self._file = RotatingFileHandler(
            results_dir / f"job_{run_id}.log",
            maxBytes=LOG_FILE_BYTES,
            backupCount=LOG_FILES,
            encoding="utf-8",
        )
        formatter = logging.Formatter("%(asctime)sZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self._file.setFormatter(formatter)
        self._run_id = run_id
        self._send = send

    def write(self, text: str) -> None:
        """Add a line, or several."""
        self._file.emit(logging.LogRecord(self._run_id, logging.INFO, "", 0, text, None, None))
        self._send(text.splitlines())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
