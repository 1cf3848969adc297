"""When a job runs: windows, slots, zones, thresholds, budgets, and the deadline that always wins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_aware_trainer.errors import BasesMixed, IntensityUnavailable, NoFeasibleStart
from carbon_aware_trainer.plans import Job, Plan
from carbon_aware_trainer.strategies import adaptive, budget, oracle, threshold, windows
from carbon_aware_trainer.traces import HOUR, Forecast, Trace

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALUES = (300.0, 250.0, 100.0, 120.0, 400.0, 90.0, 500.0, 500.0)


def forecast(*values: float, step: timedelta = HOUR) -> Forecast:
    column = np.array(values or VALUES)
    return Forecast("DE", "test", "average lifecycle", NOON, NOON, step, column, column, column, "made")


def job(hours: float, within: float, **more: bool | timedelta) -> Job:
    return Job(hours * HOUR, NOON + within * HOUR, **more)  # type: ignore[arg-type]


def spans(plan: Plan) -> list[tuple[float, float]]:
    return [((one.start - NOON) / HOUR, (one.end - NOON) / HOUR) for one in plan.windows]


def test_the_best_window_is_the_cleanest_in_one_piece() -> None:
    plan = windows.best_window(forecast(), now=NOON, duration=2 * HOUR, deadline=NOON + 8 * HOUR)
    assert spans(plan) == [(2.0, 4.0)]
    assert (plan.g_per_kwh, plan.run_now_g_per_kwh) == (110.0, 275.0)
    assert plan.saving == pytest.approx(0.6)


def test_a_window_may_start_within_a_slot_so_that_it_ends_with_one() -> None:
    plan = windows.best_window(forecast(), now=NOON, duration=2.5 * HOUR, deadline=NOON + 8 * HOUR)
    assert spans(plan) == [(1.5, 4.0)]
    assert plan.g_per_kwh == pytest.approx((0.5 * 250 + 100 + 120) / 2.5)


def test_the_best_slots_are_joined_where_they_touch() -> None:
    plan = windows.best_slots(forecast(), now=NOON, duration=3 * HOUR, deadline=NOON + 8 * HOUR)
    assert spans(plan) == [(2.0, 4.0), (5.0, 6.0)]
    assert plan.windows[0].g_per_kwh == pytest.approx(110.0)
    assert plan.g_per_kwh == pytest.approx((100 + 120 + 90) / 3)


@pytest.mark.parametrize("length", [timedelta(microseconds=n) for n in (1, 2, 3, 7)])
@pytest.mark.parametrize("within", [timedelta(microseconds=7), 8 * HOUR])
def test_the_shortest_work_there_is_has_its_slots(length: timedelta, within: timedelta) -> None:
    plan = windows.best_slots(forecast(), now=NOON, duration=length, deadline=NOON + within)
    assert sum((window.end - window.start for window in plan.windows), timedelta()) == length


def test_a_slot_that_is_needed_in_part_touches_the_whole_ones_beside_it() -> None:
    plan = windows.best_slots(forecast(), now=NOON, duration=2.5 * HOUR, deadline=NOON + 5 * HOUR)
    assert spans(plan) == [(1.5, 4.0)]


@pytest.mark.parametrize("search", [windows.best_window, windows.best_slots])
def test_a_flat_grid_delays_nothing(search: windows.Search) -> None:
    plan = search(forecast(*[0.1 + 0.2] * 9), now=NOON, duration=2 * HOUR, deadline=NOON + 9 * HOUR)
    assert spans(plan) == [(0.0, 2.0)]
    assert plan.reason == "Nothing cleaner is forecast than to start now."


@pytest.mark.parametrize("search", [windows.best_window, windows.best_slots])
def test_no_window_ends_after_the_forecast_or_the_deadline(search: windows.Search) -> None:
    late = forecast(300, 250, 240, 1)
    assert search(late, now=NOON, duration=HOUR, deadline=NOON + 99 * HOUR).end == NOON + 4 * HOUR
    assert search(late, now=NOON, duration=HOUR, deadline=NOON + 3 * HOUR).start == NOON + 2 * HOUR
    with pytest.raises(IntensityUnavailable, match="before the work could"):
        search(late, now=NOON, duration=5 * HOUR, deadline=NOON + 99 * HOUR)
    with pytest.raises(NoFeasibleStart, match="Set a later deadline"):
        search(late, now=NOON, duration=2 * HOUR, deadline=NOON + HOUR)
    with pytest.raises(NoFeasibleStart, match="no work"):
        search(late, now=NOON, duration=0 * HOUR, deadline=NOON + HOUR)
    with pytest.raises(IntensityUnavailable, match="No forecast"):
        search(None, now=NOON, duration=HOUR, deadline=NOON + 2 * HOUR)
    with pytest.raises(IntensityUnavailable, match="holes"):
        search(forecast(1, np.nan), now=NOON, duration=HOUR, deadline=NOON + 2 * HOUR)


values = st.lists(st.floats(1, 900), min_size=3, max_size=40)


@given(values, st.integers(1, 20), st.integers(0, 59))
def test_slots_are_as_clean_as_the_oracle_and_never_dirtier_than_a_window(
    grid: list[float], halves: int, minutes: int
) -> None:
    now = NOON + timedelta(minutes=minutes)
    made = replace(forecast(*grid), made_at=now)
    left = made.end - now
    duration = min(halves * HOUR / 2, left)
    slots = windows.best_slots(made, now=now, duration=duration, deadline=made.end)
    window = windows.best_window(made, now=now, duration=duration, deadline=made.end)
    assert slots.g_per_kwh <= window.g_per_kwh * (1 + 1e-9)
    assert window.g_per_kwh <= window.run_now_g_per_kwh * (1 + 1e-9)
    assert slots.run_now_g_per_kwh == pytest.approx(window.run_now_g_per_kwh)
    total = sum((one.end - one.start for one in slots.windows), timedelta())
    assert abs(total - duration) < timedelta(milliseconds=1)
    if minutes == 0 and duration % HOUR == timedelta():
        length = duration // HOUR
        row = np.array([grid])
        assert slots.g_per_kwh * length == pytest.approx(float(oracle.cheapest_slots(row, length)[0]))
        assert window.g_per_kwh * length == pytest.approx(float(oracle.cheapest_window(row, length)[0]))


def test_the_best_zone_is_the_one_with_the_cleanest_plan() -> None:
    zones = {"DE": forecast(), "FR": replace(forecast(300, 40, 300, 300), zone="FR")}
    zone, plan = windows.best_zone(zones, now=NOON, duration=HOUR, deadline=NOON + 4 * HOUR)
    assert (zone, plan.g_per_kwh) == ("FR", 40.0)


@pytest.mark.parametrize("other", [{"provider": "another"}, {"basis": "marginal direct"}])
def test_zones_on_two_bases_or_of_two_providers_are_never_compared(other: dict[str, str]) -> None:
    zones = {"DE": forecast(), "FR": replace(forecast(), zone="FR", **other)}  # type: ignore[arg-type]
    with pytest.raises(BasesMixed, match="cannot be compared"):
        windows.best_zone(zones, now=NOON, duration=HOUR, deadline=NOON + 4 * HOUR)
    with pytest.raises(IntensityUnavailable, match="no forecast"):
        windows.best_zone({}, now=NOON, duration=HOUR, deadline=NOON + 4 * HOUR)


@pytest.mark.parametrize("is_interruptible", [True, False])
def test_it_waits_while_enough_cleaner_time_is_forecast(is_interruptible: bool) -> None:
    work = job(2, 8, is_interruptible=is_interruptible)
    waits = adaptive.decide(work, forecast(), now=NOON)
    runs = adaptive.decide(work, forecast(), now=NOON + 2 * HOUR)
    assert (waits.action, runs.action) == ("wait", "run")
    assert (waits.g_per_kwh, runs.g_per_kwh) == (300.0, 100.0)
    assert "forecast" in waits.reason


@pytest.mark.parametrize("is_interruptible", [True, False])
def test_the_deadline_wins_over_any_forecast(is_interruptible: bool) -> None:
    dirty = forecast(900, 1, 1, 1, 1)
    decide = adaptive.decide
    assert decide(job(3, 3.9, is_interruptible=is_interruptible), dirty, now=NOON).action == "run"
    assert decide(job(3, 4, is_interruptible=is_interruptible), dirty, now=NOON).action == "wait"
    slow = decide(job(3, 4, is_interruptible=is_interruptible), dirty, now=NOON, margin=HOUR / 2)
    assert slow.action == "run"
    assert slow.reason == "It has to run to be done by 2026-03-01 16:00 UTC: 4.0 h are left."


def test_who_asks_more_often_may_wait_longer() -> None:
    dirty = forecast(900, 1, 1, 1, 1)
    assert adaptive.decide(job(3, 3.9), dirty, now=NOON).action == "run"
    assert adaptive.decide(job(3, 3.9), dirty, now=NOON, again_in=HOUR / 4).action == "wait"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (None, "No forecast is known. It runs now."),
        (forecast(300, 1), "before the work could. It runs now."),
        (forecast(300, np.nan, 1, 1, 1, 1), "The forecast has holes. It runs now."),
    ],
)
def test_without_a_forecast_that_reaches_far_enough_it_runs_now_and_says_why(
    made: Forecast | None, reason: str
) -> None:
    for is_interruptible in (True, False):
        decision = adaptive.decide(job(3, 48, is_interruptible=is_interruptible), made, now=NOON)
        assert decision.action == "run"
        assert decision.reason.endswith(reason)


@pytest.mark.parametrize("is_interruptible", [True, False])
def test_what_may_well_turn_out_cleaner_is_waited_for(is_interruptible: bool) -> None:
    sure = forecast(300, 301, 301, 301)
    open_ended = replace(sure, low=np.array([300.0, 200.0, 200.0, 200.0]))
    unknown = replace(sure, low=np.full(4, np.nan))
    work = job(1, 4, is_interruptible=is_interruptible)
    for made in (sure, unknown):
        assert adaptive.decide(work, made, now=NOON).action == "run"
    decision = adaptive.decide(work, open_ended, now=NOON)
    assert decision.action == "wait"
    assert "may well turn out cleaner" in decision.reason


def test_what_runs_in_one_piece_is_never_stopped() -> None:
    decision = adaptive.decide(job(1, 8, is_running=True), forecast(), now=NOON)
    assert (decision.action, decision.reason) == ("run", "It is running and cannot be interrupted.")


def test_what_runs_goes_on_where_a_pause_gains_little() -> None:
    near = forecast(300, 290, 280, 500, 500)
    waiting = job(1, 5, is_interruptible=True)
    running = replace(waiting, is_running=True)
    assert adaptive.decide(waiting, near, now=NOON).action == "wait"
    assert adaptive.decide(running, forecast(300, 295, 500, 500, 500), now=NOON).action == "run"
    assert adaptive.decide(running, near, now=NOON).action == "wait"
    costly = replace(running, resume_cost=HOUR / 4)
    assert adaptive.decide(costly, near, now=NOON).action == "run"
    assert adaptive.decide(costly, forecast(300, 100, 100, 100, 100), now=NOON).action == "wait"


def test_on_a_flat_grid_a_pause_gains_as_large_a_share_of_what_can_be_saved() -> None:
    hilly, flat = np.array([300.0, 200, 260, 400, 400]), np.array([300.0, 290, 296, 310, 310])
    running = job(1, 5, is_interruptible=True, is_running=True)
    assert adaptive.decide(running, forecast(*hilly), now=NOON).action == "wait"
    assert adaptive.decide(running, forecast(*flat), now=NOON).action == "wait"
    np.testing.assert_allclose(
        adaptive.keep_running_band(np.array([hilly, flat, np.full(5, 7.0)])), [6.0, 0.6, 0.0]
    )


def test_a_plan_is_of_the_kind_the_job_allows() -> None:
    assert spans(adaptive.plan(job(3, 8, is_interruptible=True), forecast(), now=NOON)) == [(2, 4), (5, 6)]
    assert spans(adaptive.plan(job(3, 8), forecast(), now=NOON)) == [(1, 4)]


LIMITS = threshold.Threshold(150.0, 80.0)


def test_between_both_thresholds_it_goes_on_with_what_it_does() -> None:
    work = job(4, 99, is_interruptible=True)
    state = threshold.State()
    seen = []
    for hour, intensity in enumerate((100.0, 80.0, 150.0, 151.0, 81.0, 79.0)):
        decision, state = threshold.decide(work, intensity, LIMITS, state, now=NOON + hour * HOUR)
        seen.append(decision.action)
    assert seen == ["wait", "run", "run", "wait", "wait", "run"]
    assert state.paused == 3 * HOUR


def test_all_pauses_together_have_a_limit() -> None:
    limits = replace(LIMITS, max_pause=2 * HOUR)
    state, seen = threshold.State(), []
    for hour in range(4):
        decision, state = threshold.decide(job(4, 99), 500.0, limits, state, now=NOON + hour * HOUR)
        seen.append(decision.action)
    assert seen == ["wait", "wait", "run", "run"]
    assert decision.reason == "It has waited 2.0 h of at most 2.0."


@pytest.mark.parametrize("intensity", [None, float("nan")])
def test_an_unknown_intensity_runs_now(intensity: float | None) -> None:
    decision, _ = threshold.decide(job(4, 99), intensity, LIMITS, threshold.State(), now=NOON)
    assert (decision.action, decision.reason) == ("run", "The intensity is not known. It runs now.")


def test_the_deadline_wins_over_a_threshold() -> None:
    late, _ = threshold.decide(job(4, 4.5), 500.0, LIMITS, threshold.State(), now=NOON)
    early, _ = threshold.decide(job(4, 5), 500.0, LIMITS, threshold.State(), now=NOON)
    assert (late.action, early.action) == ("run", "wait")


def test_a_threshold_is_a_percentile_of_the_zones_own_history() -> None:
    history = Trace("DE", "test", "average lifecycle", NOON, HOUR, np.array([*range(101), np.nan]))
    limits = threshold.from_history(history, percentile=33, band=0.1)
    assert (limits.resume_g_per_kwh, limits.pause_g_per_kwh) == pytest.approx((33.0, 36.3))
    with pytest.raises(IntensityUnavailable):
        threshold.from_history(replace(history, g_per_kwh=np.array([np.nan])))
    with pytest.raises(ValueError, match="resume"):
        threshold.Threshold(80.0, 150.0)


def test_a_budget_of_a_day_is_new_at_midnight() -> None:
    daily = budget.Budget(1000, "day")
    spent = [budget.Spent(NOON - 13 * HOUR, 900), budget.Spent(NOON - HOUR, 600)]
    assert budget.left_g(daily, spent, now=NOON) == 400
    assert budget.decide(daily, spent, expected_g=400, now=NOON).action == "run"
    refused = budget.decide(daily, spent, expected_g=401, now=NOON)
    assert refused.action == "wait"
    assert refused.reason.endswith("It may run after midnight UTC.")
    assert budget.decide(daily, spent, expected_g=900, now=NOON + 12 * HOUR).action == "run"


def test_a_budget_of_a_project_counts_all_that_was_spent() -> None:
    spent = [budget.Spent(NOON - 999 * HOUR, 900), budget.Spent(NOON - HOUR, 600)]
    assert budget.left_g(budget.Budget(1000), spent, now=NOON) == -500
    refused = budget.decide(budget.Budget(1000), spent, expected_g=1, now=NOON)
    assert (refused.action, refused.reason.endswith("Raise the budget to go on.")) == ("wait", True)
    with pytest.raises(ValueError, match="above zero"):
        budget.Budget(0)


def test_work_that_should_be_done_by_now_is_not_paused() -> None:
    grid = forecast(*[300.0] * 3, *[100.0] * 20)
    job = Job(timedelta(), grid.start + 20 * HOUR, is_interruptible=True, is_running=True)
    assert adaptive.decide(job, grid, now=grid.start).action == "run"
