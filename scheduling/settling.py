"""What a run that has ended emitted and saved is written down, once what was in force then is recorded."""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from functools import partial

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.traces import HOUR, Trace
from errors import WattleError
from scheduling import sentences
from scheduling.intensities import Intensities
from scheduling.outcomes import NotYet, settle, unsettled
from scheduling.parts import FindTrace, Used
from scheduling.ports import Store
from scheduling.recomputing import is_whole, recompute, series_of_attempts, source_of
from schema import CarbonOutcome, Run

log = logging.getLogger(__name__)

_SETTLE_EVERY_S = 5.0
# How long to wait for a provider's values of the time a run ended.
_SETTLE_WITHIN = timedelta(hours=24)
# Figures are stored with six digits; sums of many differ by a little more than the last.
_ROUNDING = 1e-5


class Settling:
    """Settles runs that follow the grid and have ended."""

    def __init__(self, store: Store, intensities: Intensities, *, home: str) -> None:
        self._store = store
        self._intensities = intensities
        self._home = home

    def settle(self, run: Run, now: datetime) -> None:
        """Note what a run saved, once the intensities of its last moments are recorded."""
        is_last_try = run.ended_at is None or now - run.ended_at > _SETTLE_WITHIN
        if self._store.cache.claim(f"carbon-settle:{run.run_id}", ttl_s=_SETTLE_EVERY_S) is None:
            return
        used, find = self._read(run), partial(self._recorded, now=now)
        try:
            limit = self._intensities.stale_after
            outcome = settle(used, find, home=self._home, is_last_try=is_last_try, limit=limit)
            self._correct(used, outcome, find, now)
        except NotYet:
            return
        except (WattleError, CarbonError, ValueError) as error:
            # One run that cannot be settled keeps no other from it.
            log.exception("a run could not be settled run_id=%s", run.run_id)
            outcome = unsettled(run, f"What it saved could not be computed: {error}")
        if self._store.carbon.set_outcome(run, outcome):
            self._store.carbon.log(run.run_id, sentences.of_outcome(outcome))

    def _correct(self, used: Used, outcome: CarbonOutcome, find: FindTrace, now: datetime) -> None:
        """Give the run the CO2 of its outcome, where values came later than its epochs were recorded.

        What a person computed again stays as it is, and so does what is on another basis.
        """
        run = used.run
        if run.co2_source is not None or outcome.co2_g is None or source_of(run).basis != outcome.basis:
            return
        if run.co2_g is not None and math.isclose(run.co2_g, outcome.co2_g, rel_tol=_ROUNDING):
            return
        series = series_of_attempts(used, find, home=self._home, limit=self._intensities.stale_after)
        new = None if series is None else recompute(used, series, now)
        if new is not None and is_whole(new):
            self._store.accounts.apply(new, run)
            self._store.carbon.log(run.run_id, sentences.of_correction(run, new))

    def _read(self, run: Run) -> Used:
        runs, accounts = self._store.runs, self._store.accounts
        return Used(
            run,
            runs.list_attempts(run.run_id),
            runs.list_epochs(run.run_id),
            accounts.list_superseded(run.run_id),
            accounts.list_extras(run.run_id),
        )

    def _recorded(self, zone: str, start: datetime, end: datetime, *, now: datetime) -> Trace | None:
        """Return what is recorded of a zone in a span, and before it what may count in it."""
        self._intensities.refresh(zone, now)
        return self._intensities.find_trace(zone, start - HOUR - self._intensities.stale_after, end)
