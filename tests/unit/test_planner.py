"""When and where a run is planned, and what it is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from carbon_aware_trainer.traces import HOUR
from errors import InvalidInput
from scheduling.planner import Planned
from schema import Attempt, CarbonPlan, RunOptions, Status
from tests.planning import (
    HYPER_PARAMS,
    NOW,
    GivenStore,
    carbon,
    outlook,
    past_run,
    planner_of,
    run_of,
    worker_in,
)
from tests.records import epoch

# Four hours of work, clean from the sixth hour on.
DIRTY_THEN_CLEAN = (600.0,) * 6 + (100.0,) * 40
CLEAN_THEN_DIRTY = (100.0,) * 6 + (600.0,) * 40
PAST = [past_run()]


def plan_submission(*hours: float, past: Any = PAST, **wishes: Any) -> CarbonPlan:
    planner, _ = planner_of([outlook("DE", *hours)], store=GivenStore(past))
    plan = planner.plan_submission(HYPER_PARAMS, RunOptions(carbon=carbon(**wishes)), NOW)
    assert plan is not None
    return plan


def running(plan: CarbonPlan | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "status": Status.RUNNING,
        "attempt": 1,
        "started_at": NOW,
        "worker": "w-DE",
        "plan": plan,
        **changes,
    }


def replan(outlooks: Any, run: Any, store: GivenStore) -> Planned:
    planner, scene = planner_of(outlooks, store=store)
    return planner.replan(run, scene)


def test_a_run_without_carbon_options_has_no_plan() -> None:
    planner, _ = planner_of([outlook("DE", 1.0)])
    assert planner.plan_submission(HYPER_PARAMS, RunOptions(), NOW) is None


def test_a_submission_waits_for_clean_hours_and_says_what_that_saves() -> None:
    plan = plan_submission(*DIRTY_THEN_CLEAN)
    assert plan.start_at == NOW + 6 * HOUR
    assert plan.g_per_kwh == pytest.approx(100)
    assert plan.run_now_g_per_kwh == pytest.approx(600)
    assert plan.saving == pytest.approx(5 / 6)
    assert plan.expected_co2_g == pytest.approx(800)
    assert plan.run_now_co2_g == pytest.approx(4800)
    assert plan.next_at == NOW + HOUR
    assert "83 % less than the 600 g/kWh of a start now" in plan.reason
    assert "one past run of the same network and dataset" in plan.reason


def test_a_plan_says_until_when_plans_kept_a_run_from_its_first_attempt() -> None:
    due = NOW + 6 * HOUR
    first = plan_submission(*DIRTY_THEN_CLEAN)
    assert first.deferred_until == due
    assert plan_submission(*CLEAN_THEN_DIRTY).deferred_until is None

    def replanned(last: CarbonPlan, at: datetime, **changes: Any) -> datetime | None:
        hours = DIRTY_THEN_CLEAN[(at - NOW) // HOUR :]
        planner, _ = planner_of([outlook("DE", *hours, start=at)], store=GivenStore(PAST))
        run = run_of(carbon(), **{"plan": last, **changes})
        return planner.replan(run, planner.look(at)).plan.deferred_until

    assert replanned(first, NOW + 3 * HOUR, status=Status.DEFERRED) == due
    # Then it waits for a worker, which no plan has it do.
    assert replanned(first, NOW + 9 * HOUR) == due
    assert replanned(first, NOW + 9 * HOUR, **running(first)) == due
    early = first.model_copy(update={"deferred_until": NOW + 30 * HOUR})
    assert replanned(early, NOW + 9 * HOUR) == NOW + 9 * HOUR


def test_a_run_is_planned_for_the_zone_of_its_first_plan_by_a_program_of_another() -> None:
    first = plan_submission(*DIRTY_THEN_CLEAN)
    zones = [outlook("FR", *(50.0,) * 46), outlook("DE", *DIRTY_THEN_CLEAN)]
    deferred = run_of(carbon(), plan=first, status=Status.DEFERRED)
    assert planner_of(zones)[0].home == "FR"
    for run in (deferred, run_of(carbon(), **running(first))):
        plan = replan(zones, run, GivenStore(PAST)).plan
        assert (plan.zone, plan.start_at, plan.stays) == ("DE", first.start_at, ())
    trouble = planner_of(zones, store=GivenStore(PAST))
    assert trouble[0].without_plan(deferred, trouble[1], "no").plan.zone == "DE"


def test_a_flat_grid_delays_nothing() -> None:
    plan = plan_submission(*(300.0,) * 48)
    assert plan.start_at == NOW
    assert "Runs now" in plan.reason


def test_a_deadline_keeps_a_margin_on_what_the_work_is_taken_for() -> None:
    # 4 h of work and 0.8 h of margin: a start at the sixth hour would be done at 10.8 h at the latest.
    assert plan_submission(*DIRTY_THEN_CLEAN, deadline=NOW + 10.9 * HOUR).start_at == NOW + 6 * HOUR
    assert plan_submission(*DIRTY_THEN_CLEAN, deadline=NOW + 10.7 * HOUR).start_at < NOW + 6 * HOUR


def test_a_delay_bounds_the_start() -> None:
    plan = plan_submission(*DIRTY_THEN_CLEAN, max_delay_h=5, interruptible=False)
    assert plan.start_at == NOW + 5 * HOUR
    assert plan.deadline == NOW + 9.8 * HOUR


def test_of_a_deadline_and_a_delay_the_earlier_one_counts() -> None:
    both = {"deadline": NOW + 8 * HOUR, "max_delay_h": 20}
    assert plan_submission(*DIRTY_THEN_CLEAN, **both).deadline == NOW + 8 * HOUR
    both = {"deadline": NOW + 40 * HOUR, "max_delay_h": 5}
    assert plan_submission(*DIRTY_THEN_CLEAN, **both).deadline == NOW + 9.8 * HOUR


def test_without_deadline_and_delay_it_waits_a_day_at_most() -> None:
    late = (600.0,) * 30 + (100.0,) * 40
    assert plan_submission(*late).start_at <= NOW + 24 * HOUR


@pytest.mark.parametrize("hours", [0, -1])
def test_a_deadline_that_is_not_in_the_future_is_refused(hours: float) -> None:
    with pytest.raises(InvalidInput, match="in the past") as refused:
        plan_submission(*DIRTY_THEN_CLEAN, deadline=NOW + hours * HOUR)
    assert refused.value.details[0].field == "options.carbon.deadline"


def test_a_deadline_that_known_work_misses_is_refused_with_one_that_can_be_met() -> None:
    with pytest.raises(InvalidInput, match=r"takes 4\.0 h .*16:48 UTC"):
        plan_submission(*DIRTY_THEN_CLEAN, deadline=NOW + 3.9 * HOUR)


def test_a_deadline_that_a_guess_misses_runs_at_once() -> None:
    plan = plan_submission(*DIRTY_THEN_CLEAN, past=[], deadline=NOW + timedelta(minutes=2))
    assert plan.start_at == NOW
    assert "it has to, to be done by" in plan.reason
    assert "a guess of 60 s per epoch" in plan.reason


def test_an_unknown_zone_is_refused_and_names_near_ones() -> None:
    with pytest.raises(InvalidInput, match="Near ones: DE") as refused:
        plan_submission(*DIRTY_THEN_CLEAN, zones=("DX",))
    assert refused.value.details[0].field == "options.carbon.zones"


def test_without_data_it_runs_now_and_says_so() -> None:
    plan = plan_submission()
    assert plan.start_at == NOW
    assert plan.provider is None
    assert plan.g_per_kwh is None
    assert "nothing is recorded" in plan.reason


def test_a_forecast_that_ends_before_the_work_could_plans_nothing() -> None:
    plan = plan_submission(600.0, 600.0, 100.0)
    assert plan.start_at == NOW
    assert "before the work could" in plan.reason


def test_a_start_at_is_the_earliest_start() -> None:
    planner, _ = planner_of([outlook("DE", *CLEAN_THEN_DIRTY)], store=GivenStore(PAST))
    options = RunOptions(carbon=carbon(), start_at=NOW + 8 * HOUR)
    plan = planner.plan_submission(HYPER_PARAMS, options, NOW)
    assert plan is not None
    assert plan.start_at == NOW + 8 * HOUR


def test_a_start_at_at_the_end_of_the_calendar_is_planned_without_a_forecast() -> None:
    planner, _ = planner_of([outlook("DE", *CLEAN_THEN_DIRTY)], store=GivenStore(PAST))
    options = RunOptions.model_validate({"carbon": {"max_delay_h": 300}, "start_at": "9998-12-31T23:00:00Z"})
    plan = planner.plan_submission({**HYPER_PARAMS, "num_epochs": 10**9}, options, NOW)
    assert plan is not None
    assert "before it may start" in plan.reason


def test_the_threshold_policy_waits_for_the_first_slot_below_it() -> None:
    hours = (600.0, 600.0, 300.0, 100.0, *(100.0,) * 40)
    assert plan_submission(*hours, policy="threshold", threshold=350).start_at == NOW + 2 * HOUR
    assert plan_submission(*hours, policy="threshold", threshold=150).start_at == NOW + 3 * HOUR
    assert plan_submission(*hours, policy="threshold", threshold=700).start_at == NOW


def test_a_running_run_is_paused_for_clean_hours() -> None:
    run = run_of(carbon(), **running())
    planned = replan([outlook("DE", *DIRTY_THEN_CLEAN)], run, GivenStore([past_run(start_h=0.1)]))
    assert planned.is_postponed
    assert planned.plan.start_at == NOW + 6 * HOUR
    assert planned.plan.reason.startswith("Paused until")


def test_a_running_run_goes_on_within_the_band() -> None:
    hours = (102.0,) * 6 + (100.0,) * 20 + (200.0,) * 20
    planned = replan([outlook("DE", *hours)], run_of(carbon(), **running()), GivenStore(PAST))
    assert not planned.is_postponed
    assert "Goes on" in planned.plan.reason


def test_a_pause_that_would_not_pay_for_starting_again_is_not_made() -> None:
    # The next hour is clean, but to start again takes two: what a pause of one would save is used for that.
    hours = (600.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, *(600.0,) * 40)
    slow, quick = GivenStore([past_run(start_h=2.0)]), GivenStore([past_run(start_h=0.05)])
    run = run_of(carbon(), **running())
    assert not replan([outlook("DE", *hours)], run, slow).is_postponed
    assert replan([outlook("DE", *hours)], run, quick).is_postponed


def test_a_running_run_that_may_not_be_stopped_goes_on() -> None:
    first = plan_submission(*DIRTY_THEN_CLEAN, interruptible=False)
    run = run_of(carbon(interruptible=False), **running(first))
    planned = replan([outlook("DE", *DIRTY_THEN_CLEAN)], run, GivenStore(PAST))
    assert not planned.is_postponed
    assert "may not be interrupted" in planned.plan.reason
    assert planned.plan.windows == first.windows


def test_the_deadline_keeps_a_running_run_from_a_pause() -> None:
    hours = (600.0, *(100.0,) * 40)
    run = run_of(carbon(deadline=NOW + 5.5 * HOUR), **running())
    planned = replan([outlook("DE", *hours)], run, GivenStore(PAST))
    assert not planned.is_postponed
    assert "it has to" in planned.plan.reason


def test_a_running_run_goes_on_when_the_data_ends() -> None:
    planned = replan([outlook("DE")], run_of(carbon(), **running()), GivenStore(PAST))
    assert not planned.is_postponed
    assert planned.plan.reason.startswith("Goes on: nothing can be planned")


def test_its_own_epochs_say_more_than_past_runs() -> None:
    own = [epoch(number, duration_s=7200, attempt=1) for number in (1, 2)]
    planned = replan(
        [outlook("DE", *DIRTY_THEN_CLEAN)], run_of(carbon(), **running()), GivenStore(PAST, epochs=own)
    )
    assert planned.plan.duration_s == pytest.approx(2 * 7200 * 1.2)
    assert planned.plan.duration_from == "its own 2 epochs"


def submit_to_zones(*workers: Any, **settings: Any) -> CarbonPlan:
    outlooks = [outlook("DE", *DIRTY_THEN_CLEAN), outlook("FR", *(50.0,) * 46)]
    planner, _ = planner_of(outlooks, store=GivenStore(PAST, workers), **settings)
    options = RunOptions(carbon=carbon(zones=("DE", "FR")))
    plan = planner.plan_submission(HYPER_PARAMS, options, NOW)
    assert plan is not None
    return plan


def test_of_several_zones_the_cleanest_with_a_live_worker_is_taken() -> None:
    plan = submit_to_zones(worker_in("DE"), worker_in("FR"))
    assert (plan.zone, plan.start_at) == ("FR", NOW)
    assert plan.run_now_g_per_kwh == pytest.approx(600)  # in the first of its zones
    assert submit_to_zones(worker_in("DE")).zone == "DE"


def test_a_draining_worker_is_no_reason_to_go_there() -> None:
    draining = worker_in("FR").model_copy(update={"is_draining": True})
    assert submit_to_zones(worker_in("DE"), draining).zone == "DE"


def test_without_any_worker_it_says_so() -> None:
    assert "No live worker takes runs in DE or FR" in submit_to_zones().reason


def test_zones_of_several_providers_are_never_compared() -> None:
    outlooks = [
        outlook("DE", *(600.0,) * 48),
        outlook("FR", *(500.0,) * 48),
        outlook("GB", *(10.0,) * 48, provider="uk"),
    ]
    workers = [worker_in(zone) for zone in ("DE", "FR", "GB")]
    planner, _ = planner_of(outlooks, store=GivenStore(PAST, workers))
    options = RunOptions(carbon=carbon(zones=("GB", "DE", "FR")))
    plan = planner.plan_submission(HYPER_PARAMS, options, NOW)
    assert plan is not None
    assert (plan.zone, plan.provider) == ("FR", "cached")


def in_germany(*workers: Any, french: tuple[float, ...], attempts: Any = (), **settings: Any) -> Planned:
    """What becomes of a run that trains in Germany, where it is dirty all day."""
    outlooks = [outlook("DE", *(600.0,) * 48), outlook("FR", *french)]
    store = GivenStore([past_run(start_h=0.5)], workers, attempts=attempts)
    planner, scene = planner_of(outlooks, store=store, **settings)
    first = submit_to_zones(worker_in("DE"))
    run = run_of(carbon(zones=("DE", "FR")), **running(first))
    return planner.replan(run, scene)


def test_a_running_run_moves_when_that_saves_more_than_it_costs() -> None:
    busy = worker_in("DE", run_id="r")
    planned = in_germany(busy, worker_in("FR"), french=(50.0,) * 48)
    assert planned.is_postponed
    assert planned.plan.zone == "FR"
    assert planned.plan.start_at == NOW
    assert [(stay.until_attempt, stay.zone) for stay in planned.plan.stays] == [(1, "DE")]
    assert "Moves from DE to FR" in planned.plan.reason
    # To start again is an eighth of the work: a tenth less is not worth it, nor is an eighth.
    for g_per_kwh in (540.0, 520.0):
        assert not in_germany(busy, worker_in("FR"), french=(g_per_kwh,) * 48).is_postponed


def test_a_running_run_does_not_move_to_a_busy_worker() -> None:
    busy = [worker_in(zone, run_id="r") for zone in ("DE", "FR")]
    assert not in_germany(*busy, french=(50.0,) * 48).is_postponed


def test_a_run_stays_where_its_checkpoints_are() -> None:
    workers = [worker_in("DE", run_id="r"), worker_in("FR", host="two")]
    planned = in_germany(*workers, french=(50.0,) * 48, checkpoint_url="/nonexistent")
    assert not planned.is_postponed
    assert "it stays in its zone" in planned.plan.reason
    shared = in_germany(*workers, french=(50.0,) * 48, checkpoint_url="s3://bucket/checkpoints")
    assert shared.is_postponed


@pytest.mark.parametrize("change", ["dead", "draining"])
def test_a_run_stays_where_its_checkpoints_are_though_nobody_takes_runs_there(change: str) -> None:
    own = worker_in("DE", run_id="r").model_copy(update={"is_draining": True})
    workers = [worker_in("FR", host="two"), *([own] if change == "draining" else [])]
    held = [Attempt(attempt=1, worker="w-DE", host="one", started_at=NOW)]
    there = in_germany(*workers, french=(50.0,) * 48, attempts=held, checkpoint_url="/nonexistent")
    assert (there.is_postponed, there.plan.zone) == (False, "DE")
    near = [each.model_copy(update={"host": "one"}) for each in workers]
    moved = in_germany(*near, french=(50.0,) * 48, attempts=held, checkpoint_url="/nonexistent")
    assert (moved.is_postponed, moved.plan.zone) == (True, "FR")


def test_a_run_stays_where_it_is_when_nobody_knows_on_which_host_that_is() -> None:
    held = [Attempt(attempt=1, worker="w-DE", started_at=NOW)]
    french = worker_in("FR", host="two")
    planned = in_germany(french, french=(50.0,) * 48, attempts=held, checkpoint_url="/nonexistent")
    assert (planned.is_postponed, planned.plan.zone) == (False, "DE")
