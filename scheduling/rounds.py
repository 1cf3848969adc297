"""The job of the housekeeping that keeps plans up to date: each step of the grid, also while all are busy.

``begin`` only looks whether something is due. The round itself runs in a thread of its own, because it may
ask a provider: whoever renews leases never waits for one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers.zones import canonical
from carbon_aware_trainer.records import Intensity
from carbon_aware_trainer.traces import HOUR
from errors import StoreUnavailable, WattleError
from scheduling.in_force import InForce
from scheduling.intensities import MAX_QUESTIONS, ONE_FIGURE, Intensities
from scheduling.planner import Planner
from scheduling.ports import Store
from scheduling.scene import Scene
from scheduling.settling import Settling
from scheduling.zones import read_zones
from schema import Run

log = logging.getLogger(__name__)

RHYTHM_S = 1.0
# Longer than a round takes: until then nobody starts another one after its program died.
_ROUND_TTL_S = 60.0
# Nobody waits for a round.
_FETCH_LIMIT_S = 20.0
_LEARN_EVERY_S = 3_600.0
# How often what is in force where workers live is looked at: an hour's value may come late.
_LOOK_EVERY_S, _LOOK_SOON_S = 60.0, 1.0
# While nothing is known: of any zone, or of that of this program's worker.
_LOOK_UNKNOWN_S = 5.0
# Of how many zones at once.
MAX_ZONES = 16


class Rounds:
    """Plans again what is due, settles what has ended, and keeps forecasters up to date."""

    def __init__(self, store: Store, planner: Planner, intensities: Intensities) -> None:
        self._store = store
        self._planner = planner
        self._intensities = intensities
        self._settling = Settling(store, intensities, home=planner.home)
        self._thread: threading.Thread | None = None
        self._look_every_s = _LOOK_SOON_S
        self._turn = 0
        self._in_force: InForce | None = None

    def look_at(self, zone: str, yearly: Intensity) -> InForce:
        """Return what is in force in the zone of a worker; rounds keep that up to date."""
        self._in_force = InForce(self._intensities, zone, yearly)
        return self._in_force

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
        # A yearly average is the same at all times: there is nothing to look at.
        changes = self._intensities.name != ONE_FIGURE
        looks = changes and self._is_time_to_look()
        if due or unsettled or learns or looks:
            run = partial(self._run, learns=learns, looks=looks)
            self._thread = threading.Thread(target=run, name="planning", daemon=True)
            self._thread.start()

    def _is_time_to_look(self) -> bool:
        if self._store.locks.acquire("intensities", ttl_s=self._look_every_s):
            return True
        # A worker that has just started, perhaps the first of its zone, does not wait for its turn.
        is_blind = self._in_force is not None and not self._in_force.has_values
        return is_blind and self._store.locks.acquire("intensities-first", ttl_s=_LOOK_UNKNOWN_S)

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
                self._replan(read_zones(run), scene)
            for run in self._store.carbon.list_unsettled():
                self._settling.settle(read_zones(run), now)
        finally:
            self._store.cache.release("carbon-round", token)

    def learn(self, zones: Iterable[str], now: datetime) -> None:
        """Fetch missing history of zones and fit their forecasters anew, each once a day.

        In all MAX_QUESTIONS are asked; what is missing then is fetched an hour later.
        """
        left = MAX_QUESTIONS
        for zone in dict.fromkeys(zones):
            if left <= 0:
                return
            try:
                self._intensities.check_zone(zone)
                left -= self._intensities.learn(zone, now, questions=left)
            except CarbonError as error:
                log.info("no forecaster is fitted zone=%s: %s", zone, error)

    def refresh(self, zones: Sequence[str], now: datetime) -> None:
        """Fetch what is in force in zones, MAX_ZONES of them at a time in turn, each once in a slot."""
        turns = max(1, -(-len(zones) // MAX_ZONES))
        turn, self._turn = self._turn % turns, self._turn + 1
        steps = []
        for zone in zones[turn * MAX_ZONES :][:MAX_ZONES]:
            try:
                self._intensities.check_zone(zone)
            except CarbonError as error:
                log.debug("nothing is known zone=%s: %s", zone, error)
                continue
            self._intensities.refresh(zone, now)
            if (trace := self._intensities.find_trace(zone, now - 2 * HOUR, now)) is not None:
                steps.append(trace.step / timedelta(seconds=10))
        # A replay, whose hours last seconds, is looked at as often as its slots change.
        self._look_every_s = min(_LOOK_EVERY_S, max(_LOOK_SOON_S, min(steps, default=_LOOK_UNKNOWN_S)))

    def _run(self, *, learns: bool, looks: bool) -> None:
        try:
            now = self._store.now()
            due = [zone for run in self._store.carbon.list_due() for zone in _zones_of(read_zones(run))]
            self.run_round(now)
            if self._intensities.name == ONE_FIGURE:
                return
            live = self._live_zones() if learns or looks else []
            if looks:
                self.refresh(live, now)
            if learns or due:
                self.learn([self._planner.home, *due, *live], now)
        except StoreUnavailable as error:
            log.warning("planning waits for Redis: %s", error)

    def _live_zones(self) -> Sequence[str]:
        """Return the zones of live workers, in the same order each time."""
        workers = self._store.workers.list_live()
        return sorted({canonical(worker.zone) for worker in workers if worker.zone})

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


def _zones_of(run: Run) -> tuple[str, ...]:
    """Return where it may run; the zone of the first plan where it does not say."""
    wished = run.options.carbon and run.options.carbon.zones
    planned = run.carbon and run.carbon.zone
    return wished or ((planned,) if planned else ())
