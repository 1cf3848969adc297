"""The job of the housekeeping that follows the runs that end: each exporter in its own thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import uuid4

from errors import ArchiveUnavailable, NotFound, StoreUnavailable
from exporters.protocol import Exporter, ExportRefused
from exporters.registry import open_exporter
from schema import EpochResult, Run
from schema.exports import Ended, ExportState
from settings import Settings

log = logging.getLogger(__name__)

RHYTHM_S: Final = 2.0
# How long an exporter stands still after the program that led it died; one that lives renews it.
LEAD_S: Final = 60.0
# A program that hands the same run over for so long leads no longer: another one may fare better.
STUCK_S: Final = 3_600.0
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 3_600.0
_LONGEST_ERROR: Final = 500


class Exports(Protocol):
    """How far each exporter has come."""

    def lead(self, exporter: str, owner: str, *, ttl_s: float) -> bool:
        """Tell whether ``owner`` is the one to follow for this exporter."""

    def get(self, exporter: str) -> ExportState:
        """Return how far it has come."""

    def start(self, exporter: str) -> None:
        """Begin with the runs that end from now on, if it has not begun."""

    def list_ended(self, cursor: str, *, last_run: str | None = None) -> Sequence[Ended]:
        """Return ends after a place, in order."""

    def advance(self, exporter: str, old: str, end: Ended, *, outcome: str) -> bool:
        """Note that one end is done; False where another program has come further."""

    def note_failure(self, exporter: str, error: str, *, run_id: str, pause_s: float) -> None:
        """Note that it failed, and when it is tried again."""


class Runs(Protocol):
    """The runs."""

    def get(self, run_id: str) -> Run:
        """Return a run."""

    def list_epochs(self, run_id: str) -> Sequence[EpochResult]:
        """Return its epochs."""


class Store(Protocol):
    """What exporting needs of the store."""

    @property
    def exports(self) -> Exports:
        """How far each exporter has come."""

    @property
    def runs(self) -> Runs:
        """The runs."""

    def now(self) -> datetime:
        """Tell the time by the clock of Redis."""


class Follower:
    """Hands every run that ends to one exporter, once, in the order of their ends."""

    def __init__(
        self,
        name: str,
        store: Store,
        settings: Settings,
        *,
        opener: Callable[[str, Settings], Exporter] = open_exporter,
    ) -> None:
        self._name = name
        self._store = store
        self._settings = settings
        self._open = opener
        self._owner = uuid4().hex
        self._exporter: Exporter | None = None
        self._thread: threading.Thread | None = None
        self._next_s = self._progress_s = 0.0
        self._is_away = self._is_leading = False

    def begin(self) -> None:
        """Begin a round in a thread if one is due and none runs; one that hangs holds up nobody else.

        Called every second: while a run is handed over here, that keeps other programs from doing it as well.
        """
        if self._thread is not None and self._thread.is_alive():
            self._keep_lead()
            return
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + RHYTHM_S
        self._thread = threading.Thread(target=self._run, name=f"export {self._name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.run_round()
            self._is_away = False
        except (ArchiveUnavailable, StoreUnavailable) as error:
            if not self._is_away:
                log.warning("exporter waits for the runs name=%s: %s", self._name, error)
            self._is_away = True

    def run_round(self) -> None:
        """Hand over all that has ended since the last round. Raises StoreUnavailable."""
        if not self._leads():
            return
        state = self._store.exports.get(self._name)
        if state.cursor is None:
            self._store.exports.start(self._name)
            return
        if state.next_at is not None and self._store.now() < state.next_at:
            return
        cursor, last_run, failures = state.cursor, state.last_run, state.failures
        while ends := self._store.exports.list_ended(cursor, last_run=last_run):
            for end in ends:
                outcome = self._hand_over(end, failures)
                is_done = outcome is not None and self._store.exports.advance(
                    self._name, cursor, end, outcome=outcome
                )
                if not is_done or not self._leads():
                    return
                cursor, last_run, failures = end.place, end.run_id, 0

    def _leads(self) -> bool:
        self._progress_s = time.monotonic()
        self._is_leading = self._store.exports.lead(self._name, self._owner, ttl_s=LEAD_S)
        return self._is_leading

    def _keep_lead(self) -> None:
        """Renew the lead for the thread that runs, unless it got nowhere for too long."""
        if self._is_leading and time.monotonic() - self._progress_s < STUCK_S:
            # An outage is met, and told, by the thread itself.
            with contextlib.suppress(StoreUnavailable):
                self._store.exports.lead(self._name, self._owner, ttl_s=LEAD_S)

    def _hand_over(self, end: Ended, failures: int) -> str | None:
        """Return what became of it: exported, or not; None where it failed, which is noted."""
        try:
            run = self._store.runs.get(end.run_id)
            # Tried again since: it ends again.
            if not run.status.is_final or end.attempt not in (None, run.attempt):
                return "passed"
            epochs = self._store.runs.list_epochs(end.run_id)
        except NotFound:
            return "passed"
        try:
            self._exporter = self._exporter or self._open(self._name, self._settings)
            self._exporter.export(run, epochs)
        except ExportRefused as error:
            log.warning("exporter leaves a run out name=%s run_id=%s: %s", self._name, end.run_id, error)
            return "skipped"
        except Exception as error:  # noqa: BLE001 - an exporter of somebody else: it may raise anything
            self._fail(end.run_id, failures, error)
            return None
        return "exported"

    def _fail(self, run_id: str, failures: int, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures, 20))
        log.warning(
            "exporter failed and is tried again name=%s run_id=%s pause_s=%.0f: %s",
            self._name, run_id, pause_s, text,
        )  # fmt: skip
        self._store.exports.note_failure(self._name, text, run_id=run_id, pause_s=pause_s)


class ExportRounds:
    """Follows for every exporter of the settings."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._followers = [Follower(name, store, settings) for name in settings.exporters]

    def begin(self) -> None:
        """Begin what is due, without waiting for it."""
        for follower in self._followers:
            follower.begin()
