from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from carbon_aware_trainer.core.decisions import DecisionLog
from carbon_aware_trainer.core.histories import as_trace
from carbon_aware_trainer.core.schedulers import AdaptiveScheduler, Seen, ThresholdScheduler
from carbon_aware_trainer.errors import AnswerRefused, CarbonError, IntensityUnavailable, NoFeasibleStart
from carbon_aware_trainer.plans import Decision, Job
from carbon_aware_trainer.traces import Forecast
from tests.carbon_parts import HOUR, START

# clean from 18 to 22 h every day
PAST = [(START + (i - 24 * 30) * HOUR, 100.0 if 18 <= (12 + i) % 24 < 22 else 300.0) for i in range(24 * 30)]


def trained() -> AdaptiveScheduler:
    scheduler = AdaptiveScheduler()
    scheduler.train([*PAST, (START, 300.0)])
    return scheduler


def test_a_threshold_starts_pauses_and_resumes_at_its_own_levels() -> None:
    scheduler = ThresholdScheduler(100.0, pause_threshold=150.0, resume_threshold=80.0)
    actions = [
        scheduler.decide(Seen(g_per_kwh=value), now=START + i * HOUR).action
        for i, value in enumerate([101.0, 100.0, 150.0, 151.0, 81.0, 80.0, 149.0])
    ]
    assert actions == ["wait", "run", "run", "wait", "wait", "run", "run"]


def test_a_threshold_that_is_not_given_is_learned() -> None:
    scheduler = ThresholdScheduler(percentile=10)
    assert scheduler.needs_history
    unknown = scheduler.decide(Seen(g_per_kwh=200.0), now=START)
    assert (unknown.action, unknown.reason) == (
        "run", "No threshold is known, for want of a history. It runs now.",
    )  # fmt: skip
    scheduler.train(PAST)
    assert not scheduler.needs_history
    decision = scheduler.decide(Seen(g_per_kwh=200.0), now=START)
    assert (decision.action, decision.threshold_g_per_kwh) == ("wait", 100.0)


def test_a_threshold_that_is_given_stays() -> None:
    scheduler = ThresholdScheduler(50.0)
    scheduler.train(PAST)
    assert scheduler.decide(Seen(g_per_kwh=60.0), now=START).threshold_g_per_kwh == 50.0


def test_what_a_trained_scheduler_recommends_is_the_cleanest_window() -> None:
    advice = trained().recommend(4.0, START + 20 * HOUR, now=START)
    assert not advice.should_run
    assert advice.start == START + 6 * HOUR
    assert advice.plan is not None
    assert advice.plan.saving == pytest.approx(1 - 100 / 300, abs=0.02)
    assert "18:00 UTC" in advice.reason


def test_a_history_ends_now_unless_another_time_is_given() -> None:
    assert trained().recommend(timedelta(hours=4), START + 20 * HOUR).start == START + 6 * HOUR


def test_an_interruptible_job_gets_several_windows() -> None:
    advice = trained().recommend(6.0, START + 36 * HOUR, now=START, interruptible=True)
    assert advice.plan is not None
    assert sum(((each.end - each.start) for each in advice.plan.windows), timedelta()) == 6 * HOUR
    assert advice.plan.g_per_kwh < 110


def test_without_a_history_or_a_forecast_it_recommends_now_and_says_why() -> None:
    advice = AdaptiveScheduler().recommend(4.0, START + 20 * HOUR, now=START)
    assert (advice.should_run, advice.plan, advice.start) == (True, None, START)
    assert advice.reason == "No forecast is known. It runs now."


def test_a_history_that_ended_long_ago_forecasts_nothing() -> None:
    advice = trained().recommend(4.0, START + 420 * HOUR, now=START + 400 * HOUR)
    assert advice.should_run
    assert advice.plan is None


def test_the_deadline_wins() -> None:
    advice = trained().recommend(4.0, START + 4.5 * HOUR, now=START)
    assert advice.should_run
    assert advice.reason.startswith("It has to run to be done by")


def test_work_that_does_not_fit_is_refused() -> None:
    with pytest.raises(NoFeasibleStart):
        trained().recommend(4.0, START + 3 * HOUR, now=START)
    with pytest.raises(CarbonError, match="offset"):
        trained().recommend(4.0, START.replace(tzinfo=None), now=START)


def test_every_decision_is_kept_and_exported(tmp_path: Path) -> None:
    scheduler = ThresholdScheduler(100.0)
    scheduler.decide(Seen(g_per_kwh=120.0), now=START)
    scheduler.decide(Seen(trouble="The provider is down."), now=START + HOUR)
    first, second = scheduler.decisions
    assert (first.action, second.action) == ("wait", "run")
    rows = json.loads(scheduler.decisions.export(tmp_path / "decisions.json").read_text())
    assert rows[0] == {
        "time": "2026-06-01T12:00:00+00:00", "intensity": 120.0, "threshold": 100.0, "decision": "wait",
        "reason": "120 g/kWh is above the threshold of 100.",
    }  # fmt: skip
    assert rows[1]["reason"] == "The intensity is not known. It runs now. The provider is down."
    with scheduler.decisions.export(tmp_path / "decisions.csv").open() as file:
        assert [row["decision"] for row in csv.DictReader(file)] == ["wait", "run"]
    table = parquet.read_table(scheduler.decisions.export(tmp_path / "decisions.parquet")).to_pydict()
    assert table["intensity"] == [120.0, None]


def test_only_the_newest_decisions_are_kept() -> None:
    log = DecisionLog(most=2)
    for i in range(3):
        log.add(Decision(START + i * HOUR, "run", "because"))
    assert [decision.at for decision in log] == [START + HOUR, START + 2 * HOUR]
    assert log[0].at == START + HOUR
    assert len(log[:1]) == 1


def test_a_history_may_be_pairs_with_gaps_in_any_order() -> None:
    trace = as_trace(
        [(START + 2 * HOUR, 3.0), (START.replace(tzinfo=None), 1.0), (START + HOUR, float("nan"))]
    )
    assert trace.start == START
    np.testing.assert_array_equal(trace.g_per_kwh, [1.0, np.nan, 3.0])


def test_a_history_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(IntensityUnavailable, match="empty"):
        as_trace([])
    with pytest.raises(AnswerRefused):
        as_trace([(START, -1.0)])
    with pytest.raises(AnswerRefused):
        as_trace([(START, 1.0), (START, 2.0)])


def test_work_without_a_deadline_is_planned_no_further_than_the_forecast_reaches() -> None:
    scheduler = trained()
    never = START + timedelta(days=3650)
    given = forecast_of(100.0, *[110.0] * 47)
    job = Job(2 * HOUR, never, is_interruptible=True)
    assert scheduler.decide(Seen(100.0, given), job, now=START).action == "run"
    bound = Job(2 * HOUR, START + 90 * 24 * HOUR, is_interruptible=True)
    known = scheduler._known(Seen(100.0, given), START, bound)
    assert known is not None
    assert known.end - given.end == timedelta(days=14)
    long = scheduler._known(Seen(100.0, given), START, Job(800 * HOUR, bound.deadline, is_interruptible=True))
    assert long is not None
    assert long.end > START + 800 * HOUR


def test_a_scheduler_that_only_recommends_forgets_what_it_can_judge_no_more() -> None:
    scheduler = AdaptiveScheduler()
    for hour in range(0, 24 * 30, 6):
        at = START + hour * HOUR
        given = replace(forecast_of(*[100.0] * 48), start=at, made_at=at)
        scheduler.recommend(2.0, at + 48 * HOUR, now=at, forecast=given)
    assert len(scheduler._learned.open) <= 8


def forecast_of(*g_per_kwh: float) -> Forecast:
    values = np.array(g_per_kwh)
    past = as_trace(PAST)
    return Forecast(
        past.zone, past.provider, past.basis, START, START, HOUR, values, values, values, "theirs"
    )
