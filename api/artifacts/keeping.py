"""Deletes files that nobody needs: what a killed upload has left, and once a day what policies say."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from api.artifacts.uploads import LIMIT_S
from api.retention.retaining import Retaining
from errors import ArchiveUnavailable, StoreUnavailable
from redis_db import RedisDB
from settings import Settings
from trainers.artifact_files import ArtifactFiles

log = logging.getLogger(__name__)

# Nobody writes to a file for longer than LIMIT_S.
OLD_S: Final = 2 * LIMIT_S
RHYTHM_S: Final = 60.0
HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0


class ArtifactKeeper:
    """Looks once a minute, in a thread of its own: the place may hang."""

    def __init__(
        self, db: RedisDB, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._files = ArtifactFiles(settings.effective_artifact_url)
        self._retaining = Retaining(db, settings)
        self._clock = clock
        self._next_s = clock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin a round if one is due and nobody else does it, without waiting for it."""
        if self._clock() < self._next_s or self.is_busy:
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

    def sweep_and_retain(self) -> None:
        """Do all that is due; policies are applied by whoever is the first on a day.

        A round that does not come to its end is repeated after an hour, not a day later.
        """
        self.sweep()
        if self._db.locks.acquire("retention", ttl_s=HOUR_S) and self._retaining.apply_active():
            self._db.locks.hold("retention", ttl_s=DAY_S)

    @property
    def is_busy(self) -> bool:
        """Whether a round is under way."""
        return self._thread is not None and self._thread.is_alive()

    def _round(self) -> None:
        try:
            self.sweep_and_retain()
        except (ArchiveUnavailable, StoreUnavailable) as error:
            log.warning("files that nobody needs are looked for later: %s", error)
