"""Work on the files of runs that may take long: a request waits a while for it, and it goes on alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from trainers.run_files import FileSizes

Key = tuple[str, ...]

_threads: Final[dict[Key, _Work]] = {}
_lock: Final = threading.Lock()


class _Work(threading.Thread):
    """One piece of work; a daemon, since a place that hangs must not keep the backend from ending."""

    def __init__(self, key: Key, work: Callable[[], FileSizes]) -> None:
        super().__init__(name="files of a run", daemon=True)
        self._key = key
        self._work = work
        self.sizes: FileSizes | None = None

    def run(self) -> None:
        """Do it, and make room for the next of the same name."""
        try:
            self.sizes = self._work()
        finally:
            with _lock:
                del _threads[self._key]


def wait_for(key: Key, work: Callable[[], FileSizes], *, limit_s: float, late: str) -> FileSizes:
    """Return what ``work`` returns, or that its sizes are not known because it is ``late``; it goes on then.

    Who asks for the same key meanwhile waits for the same work: a place that hangs holds one thread for it.
    """
    with _lock:
        thread = _threads.get(key)
        if thread is None:
            thread = _threads[key] = _Work(key, work)
            thread.start()
    thread.join(limit_s)
    return thread.sizes or FileSizes(None, None, None, late)
