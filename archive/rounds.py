"""Moves runs to the archive: once a day, when somebody asks for it, and before Redis is full."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from typing import Final, Protocol

from archive import moving
from archive.keeping import Keeping, to_time
from archive.moving import DAY_S, Moving
from archive.times import EachDay
from archive.vault import Archive
from errors import ArchiveUnavailable, Conflict, WattleError
from schema.archive import ArchiveRound
from settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0
RETRY_S: Final = 3_600.0
# Above this share of Redis' memory runs go before their time, the oldest first, until there is room; none
# that ended within a day, for who repeats a submission is answered with its run for so long.
EARLY_SHARE: Final = 0.9
EARLY_S: Final = DAY_S + 3_600.0
_JOB: Final = "archive"
_DIED: Final = "The program met an error that it does not know; the log of the web process has it."


class Locks(Protocol):
    """Locks that expire."""

    def is_held(self, job: str) -> bool:
        """Whether somebody has it."""


class Store(moving.Store, Protocol):
    """The parts of the store that archiving needs."""

    @property
    def locks(self) -> Locks:
        """The locks."""


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
        self._moving = Moving(db, archive, settings, clock)
        self._each_day = EachDay.parse(settings.archive_at)
        self._clock = clock
        self._next_look_s = 0.0
        self._keeping: Keeping | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin a round if one is due and nobody else does it, without waiting for it.

        Called every second: of a round that is under way here it says that somebody does it.
        """
        now_s = self._clock()
        if self._keeping is not None and self.is_busy:
            self._keeping.keep()
        if 0 <= self._next_look_s - now_s <= LOOK_EVERY_S or self.is_busy:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        is_early = (self._db.memory.share() or 0) >= EARLY_SHARE
        is_wanted = (is_early and not self._has_failed(now_s)) or self.is_due(now_s)
        if is_wanted:
            self._start(EARLY_S if is_early else self._after_s, is_early=is_early)

    def begin_now(self, *, older_than_s: float | None = None) -> ArchiveRound:
        """Begin a round at once, without waiting for it; older_than_s: else as in the rounds of the day.

        Raises Conflict while one is under way, here or elsewhere, or hangs here.
        """
        begun = None
        if not self.is_busy:
            begun = self._start(self._after_s if older_than_s is None else older_than_s)
        if begun is None:
            raise Conflict("Runs are being archived already: GET /api/archive tells how far that is.")
        return begun

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
        return last_s < self._each_day.latest(to_time(now_s)).timestamp()

    def next_at(self, now_s: float) -> datetime:
        """Return when the next round of the day begins."""
        return self._each_day.next(to_time(now_s))

    def _has_failed(self, now_s: float, facts: Mapping[str, str] | None = None) -> bool:
        """Whether the last round met a problem so recently that nobody tries again by himself."""
        facts = self._db.archiving.read_facts() if facts is None else facts
        last = read_round(facts)
        return bool(last and last.problem) and 0 <= now_s - float(facts.get("ended_at", 0)) < RETRY_S

    def _start(self, older_than_s: float, *, is_early: bool = False) -> ArchiveRound | None:
        """Begin a round in a thread; None while another one has the lock."""
        keeping = Keeping(self._db.archiving, self._clock)
        if not keeping.take():
            return None
        with ExitStack() as undone:
            undone.callback(keeping.close)
            begun = keeping.so_far
            keeping.note(begun)
            arguments = (keeping, older_than_s, is_early)
            thread = threading.Thread(target=self._round, args=arguments, name="archive", daemon=True)
            thread.start()
            undone.pop_all()
        self._keeping, self._thread = keeping, thread
        return begun

    def _round(self, keeping: Keeping, older_than_s: float, is_early: bool) -> None:
        done = None
        try:
            with closing(keeping):
                try:
                    done = self._moving.move_all(
                        older_than_s=older_than_s, is_early=is_early, keeping=keeping
                    )
                finally:
                    # Also of what nobody foresaw, which the thread says in the log when it ends.
                    done = done or keeping.so_far.model_copy(update={"problem": _DIED})
                    if keeping.take():
                        self._note_end(done)
        except WattleError as error:
            log.warning("how a round of archiving ended is not noted: %s", error)
            return
        log.info("archived runs moved=%d left=%d", done.moved, done.left)

    def _note_end(self, done: ArchiveRound) -> None:
        good, ended_at = {}, repr(self._clock())
        if done.problem is None:
            try:
                good = {"good_at": ended_at, "bytes": str(self._archive.measure().bytes)}
            except ArchiveUnavailable as error:
                done = done.model_copy(update={"problem": error.message})
        facts = {"last": done.model_dump_json(), "ended_at": ended_at, "under_way": ""}
        self._db.archiving.note_round(facts | good, result="failed" if done.problem else "ok")


def read_round(facts: Mapping[str, str]) -> ArchiveRound | None:
    """Return the last round, of what is noted; None before the first one."""
    return ArchiveRound.model_validate_json(facts["last"]) if "last" in facts else None
