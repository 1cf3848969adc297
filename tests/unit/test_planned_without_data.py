"""Plans while a provider is away, and when it or a zone comes back or is lost; and how they show times."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from carbon_aware_trainer.traces import HOUR
from errors import InvalidInput
from schema import RunOptions
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
from tests.unit.test_planner import (
    CLEAN_THEN_DIRTY,
    DIRTY_THEN_CLEAN,
    PAST,
    plan_submission,
    replan,
    running,
)


def test_a_forecast_that_is_kept_says_from_when_it_is() -> None:
    kept = replace(outlook("DE", *DIRTY_THEN_CLEAN), known_at=NOW - 2 * HOUR)
    planner, _ = planner_of([kept], store=GivenStore(PAST))
    plan = planner.plan_submission(HYPER_PARAMS, RunOptions(carbon=carbon()), NOW)
    assert plan is not None
    assert plan.start_at == NOW + 6 * HOUR
    assert "known at 2026-03-02 10:00 UTC: nothing newer has come since." in plan.reason
    assert "known at" not in plan_submission(*DIRTY_THEN_CLEAN).reason


def test_a_run_that_was_to_run_for_lack_of_data_waits_again_when_its_zone_comes_back() -> None:
    planned = replan([outlook("DE")], run_of(carbon()), GivenStore(PAST)).plan
    assert planned.start_at == NOW
    assert planned.next_at <= NOW + HOUR / 4
    again = replan([outlook("DE", *DIRTY_THEN_CLEAN)], run_of(carbon(), plan=planned), GivenStore(PAST)).plan
    assert again.start_at == NOW + 6 * HOUR
    # One that runs meanwhile is stopped, if it may be.
    run = run_of(carbon(), **running(planned))
    assert replan([outlook("DE", *DIRTY_THEN_CLEAN)], run, GivenStore(PAST)).is_postponed


def test_a_run_that_waits_runs_when_all_of_its_zone_is_lost_but_keeps_its_zone() -> None:
    store = GivenStore(PAST, workers=[worker_in("DE"), worker_in("FR")])
    wishes = carbon(zones=("DE", "FR"))
    both = [outlook("DE", *CLEAN_THEN_DIRTY), outlook("FR", *DIRTY_THEN_CLEAN)]
    planned = replan(both, run_of(wishes), store).plan
    assert planned.zone == "DE"
    # Nothing is known any more: it stays in the queue where a worker lives.
    lost = replan([outlook("DE"), outlook("FR")], run_of(wishes, plan=planned), store).plan
    assert (lost.zone, lost.start_at) == ("DE", NOW)
    # One zone is lost: the other one is planned with.
    one = replan([outlook("DE"), both[1]], run_of(wishes, plan=planned), store).plan
    assert (one.zone, one.start_at) == ("FR", NOW + 6 * HOUR)
    # Its worker dies after that: it goes where one lives.
    alone = GivenStore(PAST, workers=[worker_in("FR")])
    moved = replan([outlook("DE"), outlook("FR")], run_of(wishes, plan=lost), alone).plan
    assert (moved.zone, moved.start_at) == ("FR", NOW)


def test_for_lack_of_data_a_run_stays_in_the_zone_it_waits_in() -> None:
    store = GivenStore(PAST, workers=[worker_in("DE"), worker_in("FR")])
    wishes = carbon(zones=("DE", "FR"))
    planned = replan(
        [outlook("DE", *DIRTY_THEN_CLEAN), outlook("FR", *[50.0] * 40)], run_of(wishes), store
    ).plan
    assert planned.zone == "FR"
    lost = replan([outlook("DE"), outlook("FR")], run_of(wishes, plan=planned), store).plan
    assert (lost.zone, lost.start_at) == ("FR", NOW)


def test_sentences_have_no_seconds_and_a_deadline_that_can_be_met_is_not_too_early() -> None:
    late = NOW + timedelta(seconds=20)
    plan = plan_submission(*DIRTY_THEN_CLEAN, deadline=late + 30 * HOUR)
    assert ":20" not in plan.reason
    store = GivenStore([past_run(start_h=1 / 120)])
    planner, _ = planner_of([outlook("DE", *DIRTY_THEN_CLEAN)], store=store)
    options = RunOptions(carbon=carbon(deadline=NOW + HOUR))
    with pytest.raises(InvalidInput) as refused:
        planner.plan_submission(HYPER_PARAMS, options, late)
    day, time = str(refused.value).partition("give one after ")[2].split()[:2]
    # 20 s, 4 h of work, 30 s to start and a fifth of margin, to the minute after it.
    assert time == "16:49"
    options = RunOptions(carbon=carbon(deadline=datetime.fromisoformat(f"{day}T{time}+00:00")))
    assert planner.plan_submission(HYPER_PARAMS, options, late) is not None
