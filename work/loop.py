"""The worker's loop: claim, execute, again."""

from __future__ import annotations

import logging

from errors import StoreUnavailable
from housekeeping import rhythm_s
from logs import about_run
from schema import Lease
from trainers import validator
from work.execution import execute
from work.finished import finish_files
from work.routing import list_queues
from work.spool import FOLDER, replay_left
from work.workplace import Workplace
from work.writes import FinishWrite

log = logging.getLogger(__name__)

FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 0.1, 5.0


def work(place: Workplace, *, is_burst: bool = False, max_runs: int | None = None) -> None:
    """Claim and execute runs until the worker is to stop or to drain.

    With ``is_burst``, until the queues are empty; with ``max_runs``, until so many runs have been executed.
    kill -9 is safe at any line: the lease expires and another worker takes the run. While Redis is away it
    tries again without limit.
    """
    back_off_s = FIRST_BACK_OFF_S
    executed, is_prepared = 0, False
    while not place.stop.is_set() and executed != max_runs:
        try:
            if not is_prepared:
                place.db.layout.prepare()
                is_prepared = True
            _replay_left(place)
            if place.on_beat(None, None):
                log.info("drained: the worker takes no more runs and ends")
                return
            lease = _next(place, is_burst=is_burst)
            place.stop.contact.note()
        except StoreUnavailable as error:
            log.warning("waiting %.1f s for Redis: %s", back_off_s, error)
            place.stop.wait(back_off_s)
            back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
            continue
        back_off_s = FIRST_BACK_OFF_S
        if lease is not None:
            log.info("run starts run_id=%s attempt=%d", lease.run_id, lease.attempt)
            with about_run(lease.run_id):
                execute(place, lease)
            executed += 1
            log.info("run ends run_id=%s attempt=%d", lease.run_id, lease.attempt)
        elif is_burst:
            return


def _next(place: Workplace, *, is_burst: bool) -> Lease | None:
    queue = place.db.queue
    queues = list_queues(place.worker, queue.list_requirements())
    worker_id, lease_s = place.worker_id, place.settings.lease_s
    # Who is idle beats and keeps house as often as who is busy: whoever reaps too seldom may not reap at all.
    idle_s = rhythm_s(lease_s)
    if is_burst:
        lease = queue.claim(queues, worker_id=worker_id, lease_s=lease_s)
        if lease is None and _adopt_foreign(place):
            lease = queue.claim(queues, worker_id=worker_id, lease_s=lease_s)
        return lease
    return queue.next_request(idle_s, queues=queues, worker_id=worker_id, lease_s=lease_s)


def _adopt_foreign(place: Workplace) -> list[str]:
    """Take in what the claim just put aside, which otherwise the next beat would: a burst has none."""
    return place.db.queue.adopt_foreign(validator(place.settings))


def _replay_left(place: Workplace) -> None:
    """Write what workers of this host that died while Redis was away could not."""

    def finish(lease: Lease, write: FinishWrite) -> None:
        if write.has_saved_models:
            finish_files(place.db, place.settings, lease.run_id)

    replay_left(place.db, place.settings.data_dir / FOLDER, on_finished=finish)
