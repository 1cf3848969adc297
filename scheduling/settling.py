"""What a run that has ended emitted and saved is written down, once what was in force then is recorded."""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from functools import partial

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.traces import HOUR, Trace
from errors import Conflict, StoreUnavailable, WattleError
from scheduling import sentences
from scheduling.intensities import ONE_FIGURE, Intensities
from scheduling.outcomes import NotYet, settle, unsettled
from scheduling.parts import FindTrace, Used
from scheduling.ports import Store
from scheduling.recomputing import is_whole, recompute, series_of_attempts, source_of
from schema import CarbonOutcome, Run

log = logging.getLogger(__name__)

# How often it is tried: at first; in a long outage, as a share of the time since it ended; and at the latest.
_SETTLE_EVERY_S, _SETTLE_SHARE, _SETTLE_LATEST_S = 5.0, 0.05, 300.0
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
        if self._store.cache.claim(f"carbon-settle:{run.run_id}", ttl_s=_again_s(run, now)) is None:
            return
        find = partial(self._recorded, provider=self._provider_of(run), now=now)
        try:
            used = self._read(run)
            limit = self._intensities.stale_after
            outcome = settle(used, find, home=self._home, is_last_try=is_last_try, limit=limit)
            self._correct(used, outcome, find, now)
        except NotYet:
            return
        except StoreUnavailable:
            raise
        except (WattleError, CarbonError, ValueError) as error:
            # One run that cannot be settled keeps no other from it.
            log.exception("a run could not be settled run_id=%s", run.run_id)
            outcome = unsettled(run, f"What it saved could not be computed: {error}")
        self._note(run, outcome)

    def _note(self, run: Run, outcome: CarbonOutcome) -> None:
        """Write an outcome down; one with figures stays where they are not known any more."""
        if run.carbon_outcome is not None and _lacks(outcome, run.carbon_outcome):
            log.warning("the outcome of a run is kept run_id=%s: %s", run.run_id, outcome.reason)
            self._store.carbon.set_outcome(run, run.carbon_outcome)
        elif self._store.carbon.set_outcome(run, outcome):
            self._store.carbon.log(run.run_id, sentences.of_outcome(outcome))

    def _provider_of(self, run: Run) -> str:
        """Return whose figures count: of its outcome so far, of its CO2, else of who is asked for its zone.

        Whoever answers now may be another one, which stands in for a provider that is away.
        """
        settled = run.carbon_outcome and run.carbon_outcome.provider
        named = (settled, run.environment.get("intensity_provider"))
        found = (str(name) for name in named if name and name != ONE_FIGURE)
        return next(found, self._intensities.name)

    def _correct(self, used: Used, outcome: CarbonOutcome, find: FindTrace, now: datetime) -> None:
        """Give the run the CO2 of its outcome, where values came later than its epochs were recorded.

        What a person computed again stays as it is, and so does what is on another basis.
        """
        run = used.run
        if run.co2_source is not None or outcome.co2_g is None or source_of(run).basis != outcome.basis:
            return
        if outcome.provider == ONE_FIGURE:
            return
        if run.co2_g is not None and math.isclose(run.co2_g, outcome.co2_g, rel_tol=_ROUNDING):
            return
        series = series_of_attempts(used, find, home=self._home, limit=self._intensities.stale_after)
        try:
            new = None if series is None else recompute(used, series, now)
            if new is not None and is_whole(new):
                self._store.accounts.apply(new, run)
                self._store.carbon.log(run.run_id, sentences.of_correction(run, new))
        except Conflict as error:
            # What it saved is known all the same.
            log.warning("the CO2 of a run stays as it is run_id=%s: %s", run.run_id, error)

    def _read(self, run: Run) -> Used:
        runs, accounts = self._store.runs, self._store.accounts
        return Used(
            run,
            runs.list_attempts(run.run_id),
            runs.list_epochs(run.run_id),
            accounts.list_superseded(run.run_id),
            accounts.list_extras(run.run_id),
        )

    def _recorded(
        self, zone: str, start: datetime, end: datetime, *, provider: str, now: datetime
    ) -> Trace | None:
        """Return what a provider recorded of a zone in a span, and before it what may count in it."""
        self._intensities.refresh(zone, now)
        before = start - HOUR - self._intensities.stale_after
        return self._intensities.find_trace_of(provider, zone, before, end)


def _again_s(run: Run, now: datetime) -> float:
    """Return after how long a run that is waited for is tried again; one that is not, soon."""
    if run.ended_at is None or now - run.ended_at > _SETTLE_WITHIN:
        return _SETTLE_EVERY_S
    age_s = (now - run.ended_at).total_seconds()
    return min(_SETTLE_LATEST_S, max(_SETTLE_EVERY_S, _SETTLE_SHARE * age_s))


def _lacks(new: CarbonOutcome, old: CarbonOutcome) -> bool:
    """Say whether figures are missing that were known."""
    pairs = ((new.co2_g, old.co2_g), (new.saved_g, old.saved_g))
    return any(now is None and before is not None for now, before in pairs)
