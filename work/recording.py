"""Everything a worker writes about a run, in order, kept while Redis is away."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from errors import StoreUnavailable, WattleError

log = logging.getLogger(__name__)

LOG_FILE_BYTES = 1_000_000
LOG_FILES = 3
LINES_AT_ONCE = 500


class Outbox:
    """Writes that are made in order, each at least once; an unreachable Redis only delays them."""

    def __init__(self) -> None:
        self._writes: deque[Callable[[], object]] = deque()
        self._open_lines: list[str] | None = None
        self._is_away = False

    def add(self, write: Callable[[], object]) -> None:
        """Queue a write; every write of the store is safe to repeat, so a lost reply does no harm."""
        self._open_lines = None
        self._writes.append(write)

    def add_lines(self, lines: list[str], send: Callable[[list[str]], None]) -> None:
        """Queue log lines; lines with nothing in between become one write."""
        if self._open_lines is None or len(self._open_lines) >= LINES_AT_ONCE:
            opened: list[str] = []
            self.add(lambda: send(opened))
            self._open_lines = opened
        self._open_lines += lines

    def flush(self, *, budget_s: float = 0.5) -> bool:
        """Make what is waiting, in order, for about ``budget_s``; False while some still wait.

        Raises LeaseLost when the run belongs to another attempt by now. Another refusal is raised, too, and
        the refused write is dropped: it would be refused for ever.
        """
        give_up_s = time.monotonic() + budget_s
        try:
            while self._writes and time.monotonic() < give_up_s:
                self._open_lines = None
                self._writes[0]()
                self._writes.popleft()
        except StoreUnavailable as error:
            if not self._is_away:
                log.warning("Redis is away, %d writes wait: %s", len(self._writes), error)
            self._is_away = True
            return False
        except WattleError:
            self._writes.popleft()
            raise
        if self._is_away:
            log.info("Redis is back")
        self._is_away = False
        return not self._writes


class RunLog:
    """The log of one run: a file under ``results/`` and, through the outbox, the store.

    The store's is the one that counts: a file that cannot be written is warned about, once.
    """

    def __init__(self, results_dir: Path, run_id: str, send: Callable[[list[str]], None]) -> None:
        self._run_id = run_id
        self._send = send
        self._file = _open_file(results_dir / f"job_{run_id}.log")

    def write(self, text: str) -> None:
        """Add a line, or several."""
        if self._file is not None:
            self._file.emit(logging.LogRecord(self._run_id, logging.INFO, "", 0, text, None, None))
        self._send(text.splitlines())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class _LogFile(RotatingFileHandler):
    """A file whose failure is one warning, not a traceback for each line."""

    has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Warn the first time."""
        if not self.has_failed:
            log.warning("the run's log file cannot be written run_id=%s: %s", record.name, sys.exc_info()[1])
        self.has_failed = True


def _open_file(path: Path) -> _LogFile | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = _LogFile(path, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    except OSError as error:
        log.warning("the run's log file cannot be opened: %s", error)
        return None
    formatter = logging.Formatter("%(asctime)sZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    opened.setFormatter(formatter)
    return opened
