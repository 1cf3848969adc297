"""The job of the housekeeping that keeps plans up to date: each step of the grid, also while all are busy.

``begin`` only looks whether something is due. The round itself runs in a thread of its own, because it may
ask a provider: whoever renews leases never waits for one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.traces import HOUR, Trace
from errors import StoreUnavailable, WattleError
from scheduling import sentences
from scheduling.intensities import Intensities
from scheduling.outcomes import NotYet, Used, settle, unsettled
from scheduling.planner import Planner
from scheduling.ports import Store
from scheduling.scene import Scene
from schema import Run

log = logging.getLogger(__name__)

RHYTHM_S = 1.0
# Longer than a round takes: until then nobody starts another one after its program died.
_ROUND_TTL_S = 60.0
# Nobody waits for a round.
_FETCH_LIMIT_S = 20.0
_LEARN_EVERY_S = 3_600.0
_SETTLE_EVERY_S = 5.0
# How long to wait for a provider's values of the time a run ended.
_SETTLE_WITHIN = timedelta(hours=24)


class Rounds:
    """Plans again what is due, settles what has ended, and keeps forecasters up to date."""

    def __init__(self, store: Store, planner: Planner, intensities: Intensities) -> None:
        self._store = store
        self._planner = planner
        self._intensities = intensities
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start a round in a thread if one is due and none runs; a few commands to Redis, else nothing.

        Raises StoreUnavailable.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        if not self._store.locks.acquire("replan", ttl_s=RHYTHM_S):
            return
        due = bool(self._store.carbon.list_due(limit=1))
        unsettled = bool(self._store.carbon.list_unsettled(limit=1))
        learns = self._store.locks.acquire("learn", ttl_s=_LEARN_EVERY_S)
        if due or unsettled or learns:
            self._thread = threading.Thread(target=self._run, args=(learns,), name="planning", daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait for the round that runs, if one does."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def run_round(self, now: datetime) -> None:
        """Plan every run that is due, and settle what has ended; nothing while another program does."""
        token = self._store.cache.claim("carbon-round", ttl_s=_ROUND_TTL_S)
        if token is None:
            return
        try:
            scene = self._planner.look(now, limit_s=_FETCH_LIMIT_S)
            for run in self._store.carbon.list_due():
                self._replan(run, scene)
            for run in self._store.carbon.list_unsettled():
                self._settle(run, now)
        finally:
            self._store.cache.release("carbon-round", token)

    def learn(self, zones: Iterable[str], now: datetime) -> None:
        """Fetch missing history of zones and fit their forecasters anew, each once a day."""
        for zone in dict.fromkeys(zones):
            try:
                self._intensities.check_zone(zone)
                self._intensities.learn(zone, now)
            except CarbonError as error:
                log.info("no forecaster is fitted zone=%s: %s", zone, error)

    def _run(self, learns: bool) -> None:
        try:
            now = self._store.now()
            zones = [zone for run in self._store.carbon.list_due() for zone in _zones_of(run)]
            self.run_round(now)
            if learns or zones:
                self.learn([self._planner.home, *zones], now)
        except StoreUnavailable as error:
            log.warning("planning waits for Redis: %s", error)

    def _replan(self, run: Run, scene: Scene) -> None:
        try:
            planned = self._planner.replan(run, scene)
        except StoreUnavailable:
            raise
        except (WattleError, CarbonError, ValueError) as error:
            # One run that cannot be planned keeps no other from it, and is not kept from running.
            log.exception("a run could not be planned run_id=%s", run.run_id)
            planned = self._planner.without_plan(run, scene, f"planning failed: {error}")
        take = self._store.carbon.postpone if planned.is_postponed else self._store.carbon.replan
        if take(run, planned.plan) is not None:
            log.info("planned run_id=%s: %s", run.run_id, planned.plan.reason)

    def _settle(self, run: Run, now: datetime) -> None:
        """Note what a run saved, once the intensities of its last moments are recorded."""
        is_last_try = run.ended_at is None or now - run.ended_at > _SETTLE_WITHIN
        if self._store.cache.claim(f"carbon-settle:{run.run_id}", ttl_s=_SETTLE_EVERY_S) is None:
            return
        runs, accounts = self._store.runs, self._store.accounts
        used = Used(
            run,
            runs.list_attempts(run.run_id),
            runs.list_epochs(run.run_id),
            accounts.list_superseded(run.run_id),
            accounts.list_extras(run.run_id),
        )
        find = partial(self._recorded, now=now)
        try:
            outcome = settle(used, find, home=self._planner.home, is_last_try=is_last_try)
        except NotYet:
            return
        except (CarbonError, ValueError) as error:
            # One run that cannot be settled keeps no other from it.
            log.exception("a run could not be settled run_id=%s", run.run_id)
            outcome = unsettled(run, f"What it saved could not be computed: {error}")
        if self._store.carbon.set_outcome(run, outcome):
            self._store.carbon.log(run.run_id, sentences.of_outcome(outcome))

    def _recorded(self, zone: str, start: datetime, end: datetime, *, now: datetime) -> Trace | None:
        """Return what is recorded of a zone in a span, from the slot that holds its start on."""
        self._intensities.refresh(zone, now)
        return self._intensities.find_trace(zone, start - HOUR, end)


def _zones_of(run: Run) -> tuple[str, ...]:
    """Return where it may run; the zone of the first plan where it does not say."""
    wished = run.options.carbon and run.options.carbon.zones
    planned = run.carbon and run.carbon.zone
    return wished or ((planned,) if planned else ())
