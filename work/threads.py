"""How many CPU threads a run of this worker gets."""

from __future__ import annotations

import logging
import os

from errors import StoreUnavailable
from redis_db import RedisDB

log = logging.getLogger(__name__)


def count_usable_cores() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ThreadShare:
    """This worker's share of its host's cores: as many as its live workers, idle ones too, leave to each."""

    def __init__(self, db: RedisDB, *, host: str, cores: int, fixed: int | None = None) -> None:
        self._db = db
        self._host = host
        self._cores = cores
        self._fixed = fixed
        self.latest = fixed or cores

    def choose(self) -> int:
        """Return the threads for a run that starts now, at least 1; while Redis is away, the latest."""
        if self._fixed is None:
            try:
                here = sum(worker.host == self._host for worker in self._db.workers.list_live())
                self.latest = max(1, self._cores // max(1, here))
            except StoreUnavailable as error:
                log.debug("the workers of this host are not known now: %s", error)
        return self.latest
