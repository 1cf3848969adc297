"""The job of the housekeeping that drives sweeps: one program does, in a thread of its own.

``begin`` only looks whether there is a sweep. Choosing a trial may take a while, and whoever renews leases
never waits for it.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pydantic import ValidationError

from errors import Conflict, NotFound, StoreUnavailable, TooMany, WattleError
from schema import Validate
from schema.sweeps import SweepState
from sweeps.driving import Unfit, drive
from sweeps.ports import Store

if TYPE_CHECKING:
    from sweeps.study import Study

log = logging.getLogger(__name__)

RHYTHM_S: Final = 1.0
# How long sweeps stand still after who drove them died.
LEAD_S: Final = 10.0
# Of one sweep, before the next one has its turn.
_TURN_S: Final = 3.0
# Of a sweep that fails each time; it could not even be stopped.
_MOST_FAILURES: Final = 5


class SweepRounds:
    """Drives the sweeps while this program is the one to do so."""

    def __init__(self, store: Store, validate: Validate) -> None:
        self._store = store
        self._validate = validate
        self._owner = uuid4().hex
        self._studies: dict[str, Study] = {}
        self._failures: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._next_s = 0.0
        # Whether it is there, not what it does: importing it takes a second.
        self._is_able = importlib.util.find_spec("optuna") is not None

    def begin(self) -> None:
        """Start a round in a thread if one is due and none runs; a few commands to Redis, else nothing.

        Raises StoreUnavailable.
        """
        if not self._is_able or time.monotonic() < self._next_s:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._next_s = time.monotonic() + RHYTHM_S
        if self._store.sweeps.has_active() and self._store.sweeps.lead(self._owner, ttl_s=LEAD_S):
            self._thread = threading.Thread(target=self._run, name="sweeps", daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait for the round that runs, if one does."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def run_round(self) -> None:
        """Drive every sweep that has not ended one step."""
        active = self._store.sweeps.list_active()
        self._studies = {key: study for key, study in self._studies.items() if key in active}
        for sweep_id in active:
            self._drive(sweep_id)
            # A round of many sweeps may take longer than a lead lasts.
            if not self._store.sweeps.lead(self._owner, ttl_s=LEAD_S):
                return

    def _drive(self, sweep_id: str) -> None:
        """Drive a sweep; what is wrong with it is no matter of the others."""
        until_s = time.monotonic() + _TURN_S
        try:
            drive(self._store, self._study(sweep_id), self._validate, lambda: time.monotonic() > until_s)
            self._failures.pop(sweep_id, None)
        except StoreUnavailable:
            raise
        except Unfit as error:
            log.warning("sweeps are left to another program for a while: %s", error)
            self._next_s = time.monotonic() + LEAD_S + 2 * RHYTHM_S
        except TooMany as error:
            log.info("a sweep waits for its quota sweep_id=%s: %s", sweep_id, error)
        except (Conflict, NotFound) as error:
            log.info("the next round looks at this sweep again: %s", error)
        except (WattleError, ValidationError) as error:
            log.warning(
                "a sweep could not be driven and will be tried again sweep_id=%s: %s", sweep_id, error
            )
        except Exception as error:  # noqa: BLE001 - around Optuna, which may raise anything
            self._note_failed(sweep_id, error)

    def _note_failed(self, sweep_id: str, error: Exception) -> None:
        """Have a sweep read anew the next time; end one that fails each time. Its runs go on."""
        log.error("a sweep could not be driven sweep_id=%s", sweep_id, exc_info=error)
        self._studies.pop(sweep_id, None)
        self._failures[sweep_id] += 1
        if self._failures[sweep_id] >= _MOST_FAILURES:
            del self._failures[sweep_id]
            reason = f"it cannot be driven: {type(error).__name__}: {error}"
            summary = self._store.sweeps.get(sweep_id).summary
            self._store.sweeps.note(sweep_id, summary, end=SweepState.FAILED, reason=reason)

    def _study(self, sweep_id: str) -> Study:
        from sweeps.study import Study

        if sweep_id not in self._studies:
            self._studies[sweep_id] = Study(self._store.sweeps, self._store.sweeps.get(sweep_id))
        return self._studies[sweep_id]

    def _run(self) -> None:
        try:
            self.run_round()
        except StoreUnavailable as error:
            log.warning("sweeps wait for Redis: %s", error)
        except WattleError as error:
            log.warning("a sweep could not be driven and will be tried again: %s", error)
