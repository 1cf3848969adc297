"""What SIGTERM and Ctrl-C ask of a worker, and how long it may take to obey."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

# A worker that stops waits so long for a Redis that does not answer, and for anything else; and one that is
# to stop at once, which takes milliseconds unless something hangs.
SILENT_LIMIT_S, STOP_LIMIT_S = 3.0, 12.0
SILENT_AT_ONCE_S, AT_ONCE_LIMIT_S = 1.0, 5.0
# How old the last answer may be for Redis to count as there; a call to a hung server takes this long to fail.
ANSWER_S = 2.0
# A launcher's SIGTERM right after the Ctrl-C that both have got from the terminal is not a second one.
TOGETHER_S = 1.0
_POLL_S = 0.1


class Contact:
    """When Redis answered last."""

    def __init__(self) -> None:
        self._answered_s = time.monotonic()
        self._is_needed = True

    def note(self) -> None:
        """Note an answer."""
        self._answered_s = time.monotonic()

    @contextmanager
    def unneeded(self) -> Iterator[None]:
        """Count no silence within: there is other work to do. If that goes well, Redis has answered in it."""
        self._is_needed = False
        try:
            yield
            self.note()
        finally:
            self._is_needed = True

    @property
    def is_silent(self) -> bool:
        """Whether Redis does not answer, as far as is known."""
        return self.silent_s() > ANSWER_S

    def silent_s(self) -> float:
        """Return for how long there has been none."""
        if not self._is_needed:
            return 0.0
        return time.monotonic() - self._answered_s


class Stop:
    """Set by the first signal: stop at the next step. The second one means at once.

    A Redis that hangs must not hold a stopping worker: after its limit it ends; its lease does the rest.
    """

    def __init__(self) -> None:
        self.contact = Contact()
        self._first = 0
        self._asked_s: float | None = None
        self._at_once_s: float | None = None
        self._heard, self._word = os.pipe()

    def listen(self) -> None:
        """Take over the process's signals. For the main thread."""
        threading.Thread(target=self._limit, name="stop-limit", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def ignore(self) -> None:
        """Ignore further signals, for the worker ends already: Python's own end would die of one."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def is_set(self) -> bool:
        """Whether the worker has to stop."""
        return self._asked_s is not None

    @property
    def is_at_once(self) -> bool:
        """Whether it must not even wait for a checkpoint."""
        return self._at_once_s is not None

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, at most ``timeout_s``."""
        end_s = time.monotonic() + timeout_s
        while not self.is_set() and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _POLL_S))
        return self.is_set()

    def _hear(self, number: int, _frame: object) -> None:
        # No lock: whoever is interrupted might hold it. So no Event, and no thread is started here.
        now_s = time.monotonic()
        if self._asked_s is None:
            self._first, self._asked_s = number, now_s
            os.write(self._word, b"!")
        elif is_second(self._first, number, now_s - self._asked_s):
            self._at_once_s = self._at_once_s or now_s

    def _limit(self) -> None:
        os.read(self._heard, 1)
        asked_s = self._asked_s or time.monotonic()
        while not self._is_over(asked_s, time.monotonic()):
            time.sleep(_POLL_S)
        log.warning("stopping takes too long; the lease does the rest, and the child ends with this process")
        os._exit(0)

    def _is_over(self, asked_s: float, now_s: float) -> bool:
        at_once_s = None if self._at_once_s is None else now_s - self._at_once_s
        return is_over(now_s - asked_s, at_once_s, self.contact.silent_s())


def is_second(first: int, number: int, after_s: float) -> bool:
    """Say whether a signal is a second one, and not a launcher's echo of the first."""
    return number == first or after_s > TOGETHER_S


def is_over(asked_s: float, at_once_s: float | None, silent_s: float) -> bool:
    """Say whether a stopping worker has to end now; all are times that have passed."""
    is_away = silent_s > ANSWER_S
    if at_once_s is not None and at_once_s > (SILENT_AT_ONCE_S if is_away else AT_ONCE_LIMIT_S):
        return True
    return asked_s > (SILENT_LIMIT_S if is_away else STOP_LIMIT_S)
