"""Plans followed hour by hour, on grids and outages that are drawn: no deadline is missed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from carbon_aware_trainer.traces import HOUR, Forecast, Trace
from scheduling.intensities import Outlook
from schema import CarbonPlan, Run, Status
from tests.planning import BASIS, NOW, GivenStore, carbon, past_run, planner_of, run_of
from tests.records import epoch

EPOCHS, START_H = 4, 0.25
PAST = past_run(start_h=START_H)


def outlook_at(grid: np.ndarray[Any, Any], now: datetime, *, is_known: bool) -> Outlook:
    if not is_known:
        return Outlook("DE", now, None, None, "its provider is down")
    slot = (now - NOW) // HOUR
    start = NOW + slot * HOUR
    values = grid[slot : slot + 96]
    forecast = Forecast("DE", "cached", BASIS, now, start, HOUR, values, values, values, "test")
    return Outlook("DE", now, Trace("DE", "cached", BASIS, NOW, HOUR, grid[: slot + 1]), forecast, None)


class Life:
    """A run on a worker that is always free, planned each hour; an epoch takes 0.8 to 1.19 hours."""

    def __init__(self, seed: int, *, outages: float) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - a test
        self.grid = np.random.default_rng(seed).uniform(50, 600, 400)
        self.outages = outages
        self.epoch_h = self.draw.uniform(0.8, 1.19)
        slack_h = self.draw.uniform(1.5, 40)
        self.deadline = NOW + (EPOCHS * 1.2 + START_H + slack_h) * HOUR
        self.wishes = carbon(deadline=self.deadline, interruptible=self.draw.random() < 0.7)
        self.plan: CarbonPlan | None = None
        self.attempt, self.left_h, self.start_left_h = 0, EPOCHS * self.epoch_h, 0.0
        self.is_running = False
        self.pauses = 0

    def live(self) -> datetime:
        """Return when it is done."""
        now = NOW
        while now < self.deadline + 50 * HOUR:
            self._decide(now)
            if self.is_running:
                needed_h = self.start_left_h + self.left_h
                if needed_h <= 1:
                    return now + needed_h * HOUR
                began = min(1.0, self.start_left_h)
                self.start_left_h -= began
                self.left_h -= 1 - began
            now += HOUR
        return now

    def _decide(self, now: datetime) -> None:
        is_known = self.draw.random() >= self.outages
        store = GivenStore([PAST], epochs=self._epochs())
        planner, scene = planner_of([outlook_at(self.grid, now, is_known=is_known)], store=store)
        scene.now = now
        planned = planner.replan(self._run(), scene)
        self.plan = planned.plan
        if self.is_running and planned.is_postponed:
            self.is_running = False
            self.pauses += 1
        elif not self.is_running and self.plan.start_at < now + HOUR / 2:
            self.is_running, self.start_left_h = True, START_H
            self.attempt += 1

    def _epochs(self) -> list[Any]:
        done = int((EPOCHS * self.epoch_h - self.left_h) / self.epoch_h + 1e-9)
        return [epoch(number, duration_s=self.epoch_h * 3600) for number in range(1, done + 1)]

    def _run(self) -> Run:
        status = Status.RUNNING if self.is_running else Status.DEFERRED
        return run_of(self.wishes, plan=self.plan, status=status, attempt=self.attempt)


@pytest.mark.parametrize("outages", [0.0, 0.2])
def test_no_deadline_is_missed(outages: float) -> None:
    lives = [Life(seed, outages=outages) for seed in range(60)]
    late = [life.live() - life.deadline for life in lives]
    assert max(late) <= timedelta()
    # Else they would have been met by running at once.
    assert sum(life.pauses for life in lives) > 20
