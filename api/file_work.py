"""Work on the files of runs that may take long: a request waits a while for it, and it goes on alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from errors import WattleError
from trainers.run_files import FileSizes

log = logging.getLogger(__name__)

Key = tuple[str, ...]
Result = TypeVar("Result")

_threads: Final[dict[Key, _Work]] = {}
_lock: Final = threading.Lock()


class _Work(threading.Thread):
    """One piece of work; a daemon, since a place that hangs must not keep the backend from ending."""

    def __init__(self, key: Key, work: Callable[[], Any]) -> None:
        super().__init__(name="files of a run", daemon=True)
        self._key = key
        self._work = work
        self.result: Any = None
        self.error: WattleError | None = None

    def run(self) -> None:
        """Do it, and make room for the next of the same name."""
        try:
            self.result = self._work()
        except WattleError as error:
            # Whoever still waits is told, too.
            self.error = error
            log.warning("work on files has ended key=%s: %s", " ".join(self._key), error)
        finally:
            with _lock:
                del _threads[self._key]


def wait_for(key: Key, work: Callable[[], FileSizes], *, limit_s: float, late: str) -> FileSizes:
    """Return what ``work`` returns, or that its sizes are not known because it is ``late``; it goes on then.

    Who asks for the same key meanwhile waits for the same work: a place that hangs holds one thread for it.
    """
    sizes: FileSizes | None = wait_for_any(key, work, limit_s=limit_s)
    return sizes or FileSizes(None, None, None, late)


def wait_for_any(key: Key, work: Callable[[], Result], *, limit_s: float) -> Result | None:
    """Return what ``work`` returns, as ``wait_for`` does; None where it is late. Raises what it raises."""
    with _lock:
        thread = _threads.get(key)
        if thread is None:
            thread = _threads[key] = _Work(key, work)
            thread.start()
    thread.join(limit_s)
    if thread.error is not None:
        raise thread.error
    result: Result | None = thread.result
    return result
