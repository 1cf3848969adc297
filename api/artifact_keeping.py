"""Deletes files of artifacts that have no record: what a killed upload or a cut-off deletion has left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from api.uploads import LIMIT_S
from errors import StoreUnavailable
from redis_db import RedisDB
from trainers.artifact_files import ArtifactFiles

log = logging.getLogger(__name__)

# Nobody writes to a file for longer than LIMIT_S.
OLD_S: Final = 2 * LIMIT_S
RHYTHM_S: Final = 60.0


class ArtifactKeeper:
    """Looks once a minute, in a thread of its own: the place may hang."""

    def __init__(self, db: RedisDB, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._files = ArtifactFiles(url)
        self._clock = clock
        self._next_s = clock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin a round if one is due and nobody else does it, without waiting for it."""
        if self._clock() < self._next_s or (self._thread and self._thread.is_alive()):
            return
        self._next_s = self._clock() + RHYTHM_S
        if not self._db.locks.acquire("artifacts", ttl_s=RHYTHM_S / 2):
            return
        self._thread = threading.Thread(target=self._round, name="artifacts", daemon=True)
        self._thread.start()

    def sweep(self) -> None:
        """Delete files without a record; what fails is tried again the next time."""
        for file in self._db.artifacts.condemn(older_than_s=OLD_S):
            try:
                self._files.delete(file)
            except OSError as error:
                log.warning("a file of an artifact is left file=%s: %s", file, error)
                continue
            self._db.artifacts.settle(file)
            log.info("deleted a file without a record file=%s", file)

    def _round(self) -> None:
        try:
            self.sweep()
        except StoreUnavailable as error:
            log.warning("files without a record are looked for later: %s", error)
