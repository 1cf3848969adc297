"""What looks at the grid cost a training at most, whatever the provider does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx
import pytest

from carbon_aware_trainer.core.session import LOOK_S, RECORD_S
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer, TrainingConfig
from carbon_aware_trainer.providers.patience import Budget, budget_in_force, within
from tests import carbon_parts
from tests.carbon_parts import SteadyGauge, Weight, distance
from tests.provider_parts import HOUR, Clock, opened

Way = Literal["plain", "async"]


class Slow:
    """A provider that takes ``after_s`` for each answer, of any time; what is not waited for is not given."""

    def __init__(self, clock: Clock, after_s: float, *, has_forecast: bool = True) -> None:
        self.clock, self.after_s, self.has_forecast, self.asked = clock, after_s, has_forecast, list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        patience_s = request.extensions["timeout"]["read"]
        self.clock.pass_by(min(self.after_s, patience_s))
        if patience_s < self.after_s:
            raise httpx.ReadTimeout("slow", request=request)
        if request.url.path.endswith("latest"):
            at = self.clock.at.isoformat()
            return httpx.Response(200, json={"zone": "DE", "carbonIntensity": 100, "datetime": at})
        if request.url.path.endswith("forecast") and not self.has_forecast:
            return httpx.Response(403)
        return httpx.Response(200, json={"zone": "DE", "data": list(self._hours(request.url.params))})

    def _hours(self, params: httpx.QueryParams) -> Iterator[dict[str, Any]]:
        start = datetime.fromisoformat(params["start"]) if "start" in params else self.clock.at
        end = datetime.fromisoformat(params["end"]) if "end" in params else start + 72 * HOUR
        at = start.replace(minute=0, second=0, microsecond=0)
        while at < end:
            yield {"datetime": at.isoformat(), "carbonIntensity": 100 + 50 * (at.hour > 12)}
            at += HOUR


def training(clock: Clock, answers: Callable[[httpx.Request], httpx.Response]) -> CarbonAwareTrainer:
    config = TrainingConfig(policy="adaptive", duration_hours=100.0, deadline=clock.at + 200 * HOUR)
    model = Weight()
    return CarbonAwareTrainer(
        model, model, distance, provider=opened("electricitymaps", answers, clock=clock), region="DE",
        config=config, gauge=SteadyGauge(), clock=_Same(clock),
    )  # fmt: skip


class _Same(carbon_parts.Clock):
    """The clock of a provider, for a training."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.waits = clock, []

    def now(self) -> datetime:
        return self.clock.at

    def monotonic_ns(self) -> int:
        return round(self.clock.seconds() * 1e9)

    def pass_by(self, wait_s: float) -> None:
        self.clock.pass_by(wait_s)


def step(used: CarbonAwareTrainer, way: Way) -> None:
    if way == "plain":
        used.train_step_sync((1.0, 0.0))
    else:
        asyncio.run(used.train_step((1.0, 0.0)))


@pytest.fixture(params=["plain", "async"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


def test_all_questions_of_a_look_share_its_time(way: Way) -> None:
    clock = Clock()
    answers = Slow(clock, 3.0)
    used = training(clock, answers)
    used.session.open()
    clock.pass_by(3600)  # another slot: a new forecast is due, too
    answers.asked.clear()
    began_s = clock.seconds()
    step(used, way)
    assert clock.seconds() - began_s == pytest.approx(LOOK_S)
    assert [path.rpartition("/")[2] for path in answers.asked] == ["latest", "forecast"]


def test_pages_of_a_history_share_the_time_of_a_look_and_those_that_came_are_kept(way: Way) -> None:
    clock = Clock()
    answers = Slow(clock, 30.0, has_forecast=False)
    used = training(clock, answers)
    used.session.open()  # in vain: it hangs
    clock.pass_by(3600)
    answers.after_s = 0.5
    looks = list[float]()
    while used.decisions[-1:] == [] or used.decisions[-1].threshold_g_per_kwh is None:
        began_s = clock.seconds()
        step(used, way)
        looks.append(clock.seconds() - began_s)
        clock.pass_by(300)
        if len(looks) > 20:
            break
    assert max(looks) <= LOOK_S + 1e-6
    assert answers.asked.count("/v4/carbon-intensity/past-range") > 2 * LOOK_S / 0.5


def test_a_forecast_stands_in_for_three_hours_while_nobody_answers() -> None:
    clock = Clock()
    answers = Slow(clock, 0.1, has_forecast=False)
    used = training(clock, answers)
    used.session.open()
    clock.pass_by(26 * 3600)  # what is kept of the opening is too old
    step(used, "plain")
    answers.after_s = 60.0
    clock.pass_by(2.5 * 3600)
    step(used, "plain")
    held = used.session._forecast
    assert held is not None
    clock.pass_by(3600)
    step(used, "plain")
    assert used.session._forecast is None
    assert "did not answer within" in used.decisions[-1].reason


def test_a_year_is_fetched_when_the_training_opens_and_no_longer_than_that_may_take() -> None:
    clock = Clock()
    answers = Slow(clock, 1.0, has_forecast=False)
    used = training(clock, answers)
    used.session.open()
    assert 36 <= clock.seconds() <= RECORD_S
    clock, late = Clock(), timedelta(seconds=RECORD_S)
    training(clock, Slow(clock, 4.0, has_forecast=False)).session.open()
    assert clock.at - clock.start == late


def test_a_budget_is_of_its_block_and_a_half_spends_the_whole() -> None:
    whole = Budget(5.0)
    assert budget_in_force() is None
    with within(whole):
        half = whole.half()
        with within(half):
            assert budget_in_force() is half
            half.spend(2.0)
        with within(None):
            assert budget_in_force() is whole
    assert (budget_in_force(), half.left_s, whole.left_s) == (None, 0.5, 3.0)
    half.spend(9.0)
    assert (half.left_s, whole.left_s) == (0.0, 0.0)


def test_a_fallback_has_time_left_when_the_primary_hangs(way: Way) -> None:
    clock = Clock()
    fallback = opened("electricitymaps", Slow(clock, 1.0), clock=clock)
    chain = opened("electricitymaps", Slow(clock, 60.0), clock=clock, fallback=fallback)
    budget = Budget(5.0)
    with within(budget):
        found = chain.fetch_latest("DE") if way == "plain" else asyncio.run(chain.afetch_latest("DE"))
    assert (found.g_per_kwh, budget.left_s, clock.seconds()) == (100.0, 1.5, 3.5)
