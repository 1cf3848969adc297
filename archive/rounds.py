"""Moves runs to the archive: once a day, when somebody asks for it, and before Redis is full."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from archive.times import EachDay
from archive.vault import Archive
from errors import ArchiveUnavailable, Conflict, StoreUnavailable
from schema.archive import ArchiveRound, ArchivingRuns
from settings import Settings

log = logging.getLogger(__name__)

DAY_S: Final = 86_400.0
LOOK_EVERY_S: Final = 60.0
# Whoever archives says so every second; so long after it was killed somebody else goes on.
LOCK_S: Final = 30.0
# A process that got nowhere for so long no longer says so: its database hangs, another one's may not.
STUCK_S: Final = 600.0
# How often it is noted how far a round is.
_NOTE_EVERY_S: Final = 1.0
RETRY_S: Final = 3_600.0
_AT_ONCE: Final = 200
# So many runs in turn that the archive does not take are no longer about a run.
_REFUSED_IN_TURN: Final = 3
# Above this share of Redis' memory runs go before their time, the oldest first, until it is below the other
# one; none that ended within a day, for who repeats a submission is answered with its run for so long.
EARLY_SHARE: Final = 0.9
ENOUGH_SHARE: Final = 0.8
EARLY_S: Final = DAY_S + 3_600.0
_JOB: Final = "archive"


@dataclass
class _Count:
    """What a round has done so far."""

    begun_at: datetime
    moved: int = 0
    left: set[str] = field(default_factory=set)
    problem: str | None = None
    refused: int = 0
    """How many the archive has not taken since it took one."""

    def told(self) -> ArchiveRound:
        return ArchiveRound(
            begun_at=self.begun_at, moved=self.moved, left=len(self.left), problem=self.problem
        )


class Locks(Protocol):
    """Locks that expire."""

    def acquire(self, job: str, ttl_s: float) -> bool:
        """Take the lock of a job; False while it is held."""

    def is_held(self, job: str) -> bool:
        """Whether somebody has it."""

    def hold(self, job: str, ttl_s: float) -> None:
        """Keep it until then."""


class Memory(Protocol):
    """How full the store is."""

    def share(self) -> float | None:
        """Return the share of its memory that is used; None where it has no limit."""


class Store(Protocol):
    """The parts of the store that archiving needs."""

    @property
    def archiving(self) -> ArchivingRuns:
        """Gives runs away."""

    @property
    def locks(self) -> Locks:
        """The locks."""

    @property
    def memory(self) -> Memory:
        """How full it is."""


class ArchiveRounds:
    """Looks once a minute, and works in a thread of its own: a database may hang."""

    def __init__(
        self,
        db: Store,
        archive: Archive,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._archive = archive
        self._after_s = settings.archive_after_days * DAY_S
        self._keep_points_s = parse_retention(settings.metrics_retention_days)
        self._each_day = EachDay.parse(settings.archive_at)
        self._clock = clock
        self._next_look_s = 0.0
        self._progress_s = self._noted_s = 0.0
        self._keeping = threading.Lock()
        self._is_kept = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin a round if one is due and nobody else does it, without waiting for it.

        Called every second: of a round that is under way here it says that somebody does it.
        """
        now_s = self._clock()
        if now_s - self._progress_s < STUCK_S:
            self._keep_lock()
        if 0 <= self._next_look_s - now_s <= LOOK_EVERY_S or self.is_busy:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        is_early = (self._db.memory.share() or 0) >= EARLY_SHARE
        is_wanted = (is_early and not self._has_failed(now_s)) or self.is_due(now_s)
        if is_wanted and self._db.locks.acquire(_JOB, ttl_s=LOCK_S):
            self._start(EARLY_S if is_early else self._after_s, is_early=is_early)

    def begin_now(self, *, older_than_s: float | None = None) -> None:
        """Begin a round at once, without waiting for it; older_than_s: else as in the rounds of the day.

        Raises Conflict while one is under way, here or elsewhere.
        """
        if not self._db.locks.acquire(_JOB, ttl_s=LOCK_S):
            raise Conflict("Runs are being archived already: GET /api/archive tells how far that is.")
        self._start(self._after_s if older_than_s is None else older_than_s)

    def find_under_way(self) -> ArchiveRound | None:
        """Return how far the round is that goes on now, wherever that is; None without one."""
        noted = self._db.archiving.read_facts().get("under_way")
        is_held = bool(noted) and self._db.locks.is_held(_JOB)
        return ArchiveRound.model_validate_json(noted) if noted and is_held else None

    @property
    def is_busy(self) -> bool:
        """Whether a round is under way here."""
        return self._thread is not None and self._thread.is_alive()

    def is_due(self, now_s: float) -> bool:
        """Whether the time of the day has come since the last round, or since this was asked first."""
        facts = self._db.archiving.read_facts()
        if "since" not in facts:
            self._db.archiving.note_facts({"since": repr(now_s)})
            return False
        last = read_round(facts)
        if self._has_failed(now_s, facts):
            return False
        last_s = last.begun_at.timestamp() if last and last.problem is None else float(facts["since"])
        return last_s < self._each_day.latest(_time(now_s)).timestamp()

    def next_at(self, now_s: float) -> datetime:
        """Return when the next round of the day begins."""
        return self._each_day.next(_time(now_s))

    def move_all(self, *, older_than_s: float, is_early: bool = False) -> ArchiveRound:
        """Move what ended so long ago; what is in the way is left for the next time.

        Whoever is killed here at any line loses and doubles nothing. is_early: stop once Redis has room.
        """
        count = _Count(_time(self._clock()))
        begun_s = count.begun_at.timestamp()
        try:
            while run_ids := self._due(begun_s - older_than_s, count.left):
                for run_id in run_ids:
                    if is_early and (self._db.memory.share() or 0) < ENOUGH_SHARE:
                        return count.told()
                    self._note_progress(count.told())
                    self._move_or_leave(run_id, count)
            self._clean(begun_s)
        except (ArchiveUnavailable, StoreUnavailable) as error:
            count.problem = error.message
            log.warning("archiving goes on later moved=%d: %s", count.moved, error)
        return count.told()

    def _move_or_leave(self, run_id: str, count: _Count) -> None:
        """Move a run; one that the archive does not take is left, unless it takes none at all."""
        try:
            is_moved = self.move(run_id)
        except ArchiveUnavailable as error:
            count.refused += 1
            if count.refused == _REFUSED_IN_TURN:
                raise
            log.warning("a run stays where it is run_id=%s: %s", run_id, error)
            is_moved, count.problem = False, error.message
        else:
            count.refused = 0
        if is_moved:
            count.moved += 1
        else:
            count.left.add(run_id)

    def move(self, run_id: str) -> bool:
        """Move a run: write it, read it back, compare, and only then take it away from the store.

        False for one that changed meanwhile, is still needed, or is not the same when it is read back.
        """
        bundle = self._db.archiving.read(run_id)
        if bundle is None:
            return False
        self._archive.write(bundle, now_s=self._clock())
        if self._archive.load(bundle.place) != bundle:
            log.error("a run is not the same in the archive and stays where it is run_id=%s", run_id)
            return False
        return self._db.archiving.move(bundle)

    def _due(self, ended_before_s: float, left: set[str]) -> list[str]:
        limit = _AT_ONCE + len(left)
        found = self._db.archiving.list_due(ended_before_s, limit=limit)
        return [run_id for run_id in found if run_id not in left]

    def _clean(self, now_s: float) -> None:
        """Delete points that are old, and what is in the archive though it counts no more."""
        projects = {name: now_s - age_s for name, age_s in self._keep_points_s.items() if name}
        default_s = self._keep_points_s.get("")
        self._archive.delete_points(projects, None if default_s is None else now_s - default_s, now_s=now_s)
        # Younger ones may be about to be moved by somebody who is slow.
        written_before_s = now_s - DAY_S
        self._archive.drop_others(self._db.archiving.list_places(), before_s=written_before_s)
        self._archive.sweep(before_s=written_before_s)

    def _has_failed(self, now_s: float, facts: Mapping[str, str] | None = None) -> bool:
        """Whether the last round met a problem so recently that nobody tries again by himself."""
        facts = self._db.archiving.read_facts() if facts is None else facts
        last = read_round(facts)
        return bool(last and last.problem) and 0 <= now_s - float(facts.get("ended_at", 0)) < RETRY_S

    def _keep_lock(self) -> None:
        with self._keeping:
            if self._is_kept:
                self._db.locks.hold(_JOB, ttl_s=LOCK_S)

    def _free_lock(self) -> None:
        """Let others begin the next round; from now on nobody here keeps them from it."""
        with self._keeping:
            self._is_kept = False
            self._db.locks.hold(_JOB, ttl_s=0.001)

    def _note_progress(self, so_far: ArchiveRound) -> None:
        self._progress_s = now_s = self._clock()
        self._db.locks.hold(_JOB, ttl_s=LOCK_S)
        if self._is_kept and not 0 <= now_s - self._noted_s < _NOTE_EVERY_S:
            self._noted_s = now_s
            self._db.archiving.note_facts({"under_way": so_far.model_dump_json()})

    def _start(self, older_than_s: float, *, is_early: bool = False) -> None:
        """Begin a round in a thread; the lock is ours."""
        self._noted_s, self._is_kept = 0.0, True
        self._note_progress(ArchiveRound(begun_at=_time(self._clock()), moved=0, left=0))
        arguments = (older_than_s, is_early)
        self._thread = threading.Thread(target=self._round, args=arguments, name="archive", daemon=True)
        self._thread.start()

    def _note_end(self, done: ArchiveRound) -> None:
        ended_at = repr(self._clock())
        facts = {"last": done.model_dump_json(), "ended_at": ended_at, "under_way": ""}
        if done.problem is None:
            facts |= {"good_at": ended_at, "bytes": str(self._archive.measure().bytes)}
        self._db.archiving.note_round(facts, result="failed" if done.problem else "ok")

    def _round(self, older_than_s: float, is_early: bool) -> None:
        try:
            done = self.move_all(older_than_s=older_than_s, is_early=is_early)
            self._note_end(done)
            self._free_lock()
        except StoreUnavailable as error:
            log.warning("archiving goes on later: %s", error)
            return
        finally:
            self._is_kept = False
        log.info("archived runs moved=%d left=%d", done.moved, done.left)


def read_round(facts: Mapping[str, str]) -> ArchiveRound | None:
    """Return the last round, of what is noted; None before the first one."""
    return ArchiveRound.model_validate_json(facts["last"]) if "last" in facts else None


def parse_retention(text: str | None) -> dict[str, float]:
    """Return how long points are kept, in seconds, by project; that of all others under ""."""
    words = (word.rpartition("=") for word in (text or "").split())
    return {project: int(days) * DAY_S for project, _, days in words}


def _time(now_s: float) -> datetime:
    return datetime.fromtimestamp(now_s, UTC)
