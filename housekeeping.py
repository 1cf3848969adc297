"""The jobs that keep the queue moving while nobody looks: run by every worker and by the backend.

Each job is guarded by its ``lock:<job>``, which is also its rhythm: whoever gets the lock does the job, and
nobody does it again until the lock has expired. So it goes on when all workers are busy or there is none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from errors import StoreUnavailable, WattleError
from schema import Validate

log = logging.getLogger(__name__)

# Longer than a busy machine keeps a thread from ticking.
_LONGEST_GAP_S: Final = 60.0


class Queue(Protocol):
    """The part of the store's queue that housekeeping needs."""

    def requeue_expired(self, *, limit: int = 100, grace_s: float) -> list[str]:
        """Put runs of expired leases back."""

    def promote_due(self, *, limit: int = 100) -> list[str]:
        """Let deferred runs whose time has come wait."""

    def adopt_foreign(self, validate: Validate) -> list[str]:
        """Take in list entries that were written by another program."""


class Locks(Protocol):
    """Locks that expire."""

    def acquire(self, job: str, ttl_s: float) -> bool:
        """Take the lock of a job; False while it is held."""


class External(Protocol):
    """The runs that their own scripts report."""

    def end_silent(self, silent_s: float, *, limit: int = 100) -> Sequence[str]:
        """End those that were not heard of for so long."""


class Fitness(Protocol):
    """What about Redis could lose runs."""

    def log_warnings(self) -> None:
        """Log what was not logged before."""


class Layout(Protocol):
    """Which version the store has."""

    def prepare(self) -> int:
        """Bring it up to date."""


class Store(Protocol):
    """The parts of the store that housekeeping needs."""

    @property
    def layout(self) -> Layout:
        """Which version it has."""

    @property
    def fitness(self) -> Fitness:
        """Judges the server."""

    @property
    def queue(self) -> Queue:
        """The queue."""

    @property
    def locks(self) -> Locks:
        """The locks."""

    @property
    def external(self) -> External:
        """The runs that their own scripts report."""


class Planning(Protocol):
    """What plans runs that follow the grid again."""

    def begin(self) -> None:
        """Begin to plan what is due, without waiting for it."""


class Alerting(Protocol):
    """What looks at the alert rules, and tells channels what they raised."""

    def deliver(self) -> None:
        """Begin to tell this program's channels what waits for them, without waiting for them."""

    def watch(self) -> None:
        """Begin a round of the rules if one is due, without waiting for it."""


class Sweeping(Protocol):
    """What drives sweeps."""

    def begin(self) -> None:
        """Begin a round if one is due, without waiting for it."""


class Keeping(Protocol):
    """What deletes files that nobody needs any more."""

    def begin(self) -> None:
        """Begin a round if one is due, without waiting for it."""


class Archiving(Protocol):
    """What moves runs to the archive."""

    def begin(self) -> None:
        """Begin a round if one is due, without waiting for it."""


class Writing(Protocol):
    """What keeps a file of results up to date."""

    def begin(self) -> None:
        """Begin to write it if something has changed, without waiting for it."""

    def close(self) -> None:
        """Leave it to others."""


class Exporting(Protocol):
    """What hands runs that have ended to others."""

    def begin(self) -> None:
        """Begin what is due, without waiting for it."""


class Silence:
    """Ends runs whose scripts fell silent; only a program that hears scripts has one.

    A script is silent only to who listens: it begins anew whenever nobody ended anything for a while, as
    after Redis was away or the machine slept, so that every script can be heard first.
    """

    def __init__(self, silent_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._silent_s = silent_s
        self._clock = clock
        self._since_s = self._last_s = clock()

    def end(self, external: External) -> None:
        """End the runs that are silent for longer than this has listened."""
        now_s = self._clock()
        if not 0 <= now_s - self._last_s <= min(_LONGEST_GAP_S, self._silent_s / 2):
            self._since_s = now_s
        self._last_s = now_s
        if now_s - self._since_s < self._silent_s:
            return
        for run_id in external.end_silent(self._silent_s):
            log.warning("the script of a run is silent, the run is ended run_id=%s", run_id)


def tick(
    db: Store,
    *,
    lease_s: float,
    validate: Validate,
    planning: Planning,
    alerting: Alerting,
    silence: Silence | None = None,
    keeping: Keeping | None = None,
    sweeping: Sweeping | None = None,
) -> None:
    """Do every job that is due. Cheap when none is; safe to kill at any line.

    validate: hyper_params as somebody wrote them → complete ones; raises InvalidInput. silence,
    keeping: None in a program that no script reports to.
    """
    # Before the lock: each program tells its own log and its own channels, and hears its own scripts.
    db.fitness.log_warnings()
    alerting.deliver()
    if silence is not None:
        silence.end(db.external)
    # Before the lock: whoever drives the sweeps goes on doing so, and does not wait for its turn to reap.
    if sweeping is not None:
        sweeping.begin()
    if not db.locks.acquire("reap", ttl_s=rhythm_s(lease_s)):
        return
    # After Redis was away, healthy workers get one lease to renew before anybody reaps.
    for run_id in db.queue.requeue_expired(grace_s=lease_s):
        log.warning("lease expired, the run is taken from its worker run_id=%s", run_id)
    for run_id in db.queue.promote_due():
        log.info("a deferred run is due run_id=%s", run_id)
    for run_id in db.queue.adopt_foreign(validate):
        log.info("adopted an entry of the list run_id=%s", run_id)
    planning.begin()
    alerting.watch()
    if keeping is not None:
        keeping.begin()


def rhythm_s(lease_s: float) -> float:
    """Return how often to tick: a killed worker costs its lease and at most this.

    Of a short lease an eighth: also where every second tick finds the lock still held, and the machine pauses
    for a quarter of a lease, there is no gap of half a lease, which reaping takes for an outage.
    """
    return min(lease_s / 8, 1.0)


class Housekeeper:
    """A thread that ticks, for a program that has no loop of its own."""

    def __init__(
        self,
        db: Store,
        *,
        lease_s: float,
        validate: Validate,
        planning: Planning,
        alerting: Alerting,
        silence: Silence,
        keeping: Keeping,
        sweeping: Sweeping,
        archiving: Archiving,
        writing: Writing,
        exporting: Exporting,
    ) -> None:
        self._stop = threading.Event()
        self._layout = db.layout
        self._writing = writing
        self._archiving = archiving
        self._exporting = exporting
        self._rhythm_s = rhythm_s(lease_s)
        self._tick = partial(
            tick,
            db,
            lease_s=lease_s,
            validate=validate,
            planning=planning,
            alerting=alerting,
            silence=silence,
            keeping=keeping,
            sweeping=sweeping,
        )
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Start ticking, every second, or eighth of a shorter lease."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        self._thread.join()
        self._writing.close()

    def _run(self) -> None:
        is_away = is_prepared = False
        while not self._stop.wait(self._rhythm_s):
            # They meet an outage by themselves, in their own threads.
            self._writing.begin()
            self._exporting.begin()
            try:
                if not is_prepared:
                    self._layout.prepare()
                    is_prepared = True
                self._tick()
                self._archiving.begin()
                is_away = False
            except StoreUnavailable as error:
                if not is_away:
                    log.warning("housekeeping waits for Redis: %s", error)
                is_away = True
            except WattleError as error:
                log.warning("a job failed and will be tried again: %s", error)
