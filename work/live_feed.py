"""A run on the live view: whether somebody watches it, and what they are shown."""

from __future__ import annotations

import logging
import time
from typing import Final

from errors import StoreUnavailable
from redis_db import RedisDB
from schema import LiveUpdate
from work.messages import Shown
from work.pulse import Pulse

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5


class LiveFeed:
    """Feeds the live view of one attempt. While Redis is away nothing is shown: it would be old then."""

    def __init__(self, db: RedisDB, run_id: str) -> None:
        self._db = db
        self._run_id = run_id
        self._next_look_s = 0.0
        self._has_shown = False

    def look(self, pulse: Pulse) -> None:
        """Tell the child whether somebody watches; asks at most every LOOK_EVERY_S."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        try:
            pulse.note_watched(is_watched=self._db.live.is_watched(self._run_id))
        except StoreUnavailable:
            pulse.note_watched(is_watched=False)

    def show(self, shown: Shown) -> None:
        """Show what the child sent; an attempt that begins before what is shown starts the view anew."""
        update = LiveUpdate(points=shown.points, batch_size=shown.batch_size, tiles=shown.tiles)
        try:
            outcome = self._db.live.update(self._run_id, update)
            if not self._has_shown and outcome.accepted == 0:
                self._db.live.update(self._run_id, update, is_new=True)
        except StoreUnavailable as error:
            log.debug("nothing is shown now run_id=%s: %s", self._run_id, error)
        else:
            self._has_shown = True
