"""The worker's loop: claim, execute, again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from errors import StoreUnavailable
from schema import Lease
from work.execution import Workplace, execute

log = logging.getLogger(__name__)

IDLE_S = 1.0
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 0.1, 5.0


def work(place: Workplace, queues: Sequence[str], stop: threading.Event, *, is_burst: bool = False) -> None:
    """Claim and execute runs until ``stop`` is set; with ``is_burst``, until the queues are empty.

    kill -9 is safe at any line: the lease expires and another worker takes the run. While Redis is away it
    tries again without limit.
    """
    back_off_s = FIRST_BACK_OFF_S
    while not stop.is_set():
        try:
            place.on_beat(None)
            lease = _next(place, queues, is_burst=is_burst)
        except StoreUnavailable as error:
            log.warning("waiting %.1f s for Redis: %s", back_off_s, error)
            stop.wait(back_off_s)
            back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
            continue
        back_off_s = FIRST_BACK_OFF_S
        if lease is not None:
            log.info("run starts run_id=%s attempt=%d", lease.run_id, lease.attempt)
            execute(place, lease, stop)
            log.info("run ends run_id=%s attempt=%d", lease.run_id, lease.attempt)
        elif is_burst:
            return


def _next(place: Workplace, queues: Sequence[str], *, is_burst: bool) -> Lease | None:
    queue = place.db.queue
    if is_burst:
        return queue.claim(queues, worker_id=place.worker_id, lease_s=place.settings.lease_s)
    return queue.next_request(
        IDLE_S, queues=queues, worker_id=place.worker_id, lease_s=place.settings.lease_s
    )
