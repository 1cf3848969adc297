"""The log of a run: a file on the worker's host, and lines for the store."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

log = logging.getLogger(__name__)

LOG_FILE_BYTES = 1_000_000
LOG_FILES = 3


class RunLog:
    """The log of one run: a file under ``results/`` and, through ``send``, the store.

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
        self._send([line.encode("utf-8", "replace").decode() for line in text.splitlines()])

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
