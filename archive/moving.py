"""Moves runs that ended long ago to the archive, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from archive.keeping import Keeping, to_time
from archive.vault import Archive
from errors import ArchiveUnavailable, NotFound, WattleError
from schema.archive import ArchiveRound, ArchivingRuns
from settings import Settings

log = logging.getLogger(__name__)

DAY_S: Final = 86_400.0
# So many runs in turn that find no database, or no place for files, end the round: they are away.
_AWAY_IN_TURN: Final = 3
# Who archives because Redis is nearly full stops below this share of its memory.
ENOUGH_SHARE: Final = 0.8


@dataclass
class _Count:
    """What a round has done so far."""

    begun_at: datetime
    moved: int = 0
    left: set[str] = field(default_factory=set)
    problem: str | None = None
    away: int = 0
    """How many have found no archive since one found it."""

    def told(self) -> ArchiveRound:
        return ArchiveRound(
            begun_at=self.begun_at, moved=self.moved, left=len(self.left), problem=self.problem
        )


class Memory(Protocol):
    """How full the store is."""

    def share(self) -> float | None:
        """Return the share of its memory that is used; None where it has no limit."""


class Store(Protocol):
    """The parts of the store that moving needs."""

    @property
    def archiving(self) -> ArchivingRuns:
        """Gives runs away."""

    @property
    def memory(self) -> Memory:
        """How full it is."""


class Moving:
    """The work of a round. Whoever is killed here at any line loses and doubles nothing."""

    def __init__(self, db: Store, archive: Archive, settings: Settings, clock: Callable[[], float]) -> None:
        self._db = db
        self._archive = archive
        self._keep_points_s = _parse_retention(settings.metrics_retention_days)
        self._clock = clock

    def move_all(
        self, *, older_than_s: float, is_early: bool = False, keeping: Keeping | None = None
    ) -> ArchiveRound:
        """Move what ended so long ago; what is in the way is left for the next time.

        keeping: the round it is, which is told how far it is. is_early: stop once Redis has room.
        """
        begun_s = self._clock() if keeping is None else keeping.begun_s
        count = _Count(to_time(begun_s))
        try:
            for run_id in self._db.archiving.list_due(begun_s - older_than_s):
                if is_early and (self._db.memory.share() or 0) < ENOUGH_SHARE:
                    return count.told()
                if keeping is not None:
                    keeping.note(count.told())
                if run_id not in count.left:
                    self._move_or_leave(run_id, count)
            self._clean(begun_s)
        except WattleError as error:
            count.problem = error.message
            log.warning("archiving goes on later moved=%d: %s", count.moved, error)
        return count.told()

    def _move_or_leave(self, run_id: str, count: _Count) -> None:
        """Move a run; one that the archive does not take is left, unless the archive is away."""
        try:
            is_moved = self.move(run_id)
        except (ArchiveUnavailable, NotFound) as error:
            count.away = count.away + 1 if self._is_away() else 0
            if count.away == _AWAY_IN_TURN:
                raise
            log.warning("a run stays where it is run_id=%s: %s", run_id, error)
            is_moved, count.problem = False, error.message
        else:
            count.away = 0
        if is_moved:
            count.moved += 1
        else:
            count.left.add(run_id)

    def _is_away(self) -> bool:
        """Whether it takes nothing, however small; else it is the run that it does not take."""
        try:
            self._archive.check_database()
            self._archive.check_files()
        except ArchiveUnavailable:
            return True
        return False

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

    def _clean(self, now_s: float) -> None:
        """Delete points that are old, and what is in the archive though it counts no more."""
        projects = {name: now_s - age_s for name, age_s in self._keep_points_s.items() if name}
        default_s = self._keep_points_s.get("")
        self._archive.delete_points(projects, None if default_s is None else now_s - default_s, now_s=now_s)
        # Younger ones may be about to be moved by somebody who is slow.
        written_before_s = now_s - DAY_S
        self._archive.drop_others(self._db.archiving.list_places(), before_s=written_before_s)
        self._archive.sweep(before_s=written_before_s)


def _parse_retention(text: str | None) -> dict[str, float]:
    """Return how long points are kept, in seconds, by project; that of all others under ""."""
    words = (word.rpartition("=") for word in (text or "").split())
    return {project: int(days) * DAY_S for project, _, days in words}
