"""Keeping the lease of a run, from outside the training process."""

from __future__ import annotations

import logging
import time

from errors import StoreUnavailable
from housekeeping import rhythm_s
from schema import Lease, Request
from work.pulse import Pulse
from work.workplace import Workplace

log = logging.getLogger(__name__)

# A worker that has lost its run is to know within a second, and to hear what is asked of it as soon.
RENEWAL_S = 0.5
# A call that fails after so long has met a server that hangs, and the next one would wait as long.
HANG_S = 1.0


class Hold:
    """Renews one lease when it is time, beats, and hears what is asked of the run."""

    def __init__(self, place: Workplace, lease: Lease) -> None:
        self._place = place
        self._lease = lease
        self._lease_s = place.settings.lease_s
        # Who has renewed reaps, so not less often than that.
        self._rhythm_s = min(rhythm_s(self._lease_s), RENEWAL_S)
        self._next_renewal_s = self._next_beat_s = 0.0
        self.is_hanging = False
        """Whether Redis gave no answer at the last renewal, not even a bad one; nothing else is tried."""

    def until_renewal_s(self) -> float:
        """Return how long nothing has to be done."""
        return max(0.0, self._next_renewal_s - time.monotonic())

    def keep(self, pulse: Pulse | None, epochs_done: int) -> Request | None:
        """Renew if it is time; returns what is asked of the run. Raises LeaseLost when it is another's.

        Only who has renewed beats, and with that reaps, so that no worker reaps itself.
        """
        now_s = time.monotonic()
        if now_s < self._next_renewal_s:
            return None
        self._next_renewal_s = now_s + self._rhythm_s
        try:
            request = self._place.db.queue.renew(self._lease, lease_s=self._lease_s)
            self._place.stop.contact.note()
            self.is_hanging = False
            if pulse is not None:
                pulse.confirm(now_s + self._lease_s)
                pulse.extend(now_s + self._lease_s)
            if now_s >= self._next_beat_s:
                self._next_beat_s = now_s + rhythm_s(self._lease_s)
                self._place.on_beat(self._lease.run_id, epochs_done)
        except StoreUnavailable as error:
            log.debug("cannot renew now run_id=%s: %s", self._lease.run_id, error)
            request = None
            failed_s = time.monotonic()
            self.is_hanging = failed_s - now_s > HANG_S
            self._next_renewal_s = failed_s + self._rhythm_s
            if pulse is not None:
                pulse.extend(failed_s + self._lease_s)
        return request
