"""What a run saved against running at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from carbon_aware_trainer.traces import HOUR, Trace
from scheduling.outcomes import NotYet, settle
from scheduling.parts import Used
from schema import Attempt, CarbonOptions, CarbonOutcome, CarbonPlan, EpochResult, RunOptions, Status
from tests.planning import BASIS, NOW, carbon, extra_of, run_of
from tests.records import epoch

# Dirty for six hours after the submission, then clean for six, then dirty.
GRID = (600.0,) * 6 + (100.0,) * 6 + (400.0,) * 12


def attempt(number: int, start_h: float, end_h: float, *, end: str = "done") -> Attempt:
    return Attempt(
        attempt=number,
        worker="w",
        started_at=NOW + start_h * HOUR,
        ended_at=NOW + end_h * HOUR,
        end_reason=end,
    )


def hour(number: int, end_h: float, *, of: int = 1, kwh: float | None = 1.0) -> EpochResult:
    """An epoch of one hour."""
    return epoch(number, attempt=of, ended_at=NOW + end_h * HOUR, duration_s=3600, energy_kwh=kwh)


def find_in(**grids: Sequence[float]) -> Any:
    def find(zone: str, start: datetime, end: datetime) -> Trace | None:
        values = grids.get(zone)
        if values is None:
            return None
        return Trace(zone, "cached", BASIS, NOW, HOUR, np.array(values, dtype=np.float64)).between(
            start - HOUR, end
        )

    return find


def plan_of(deferred_until: datetime | None = None, *, zone: str = "DE", stays: Any = ()) -> CarbonPlan:
    """The last plan of a run, whose plans kept it from its first attempt until then."""
    return CarbonPlan.model_validate(
        {
            "made_at": NOW, "next_at": NOW, "policy": "adaptive", "method": "m", "zone": zone,
            "start_at": NOW, "end_at": NOW, "deadline": NOW, "duration_s": 1, "duration_from": "",
            "reason": "", "deferred_until": deferred_until, "stays": stays,
        }
    )  # fmt: skip


def settled(
    attempts: Sequence[Attempt],
    epochs: Sequence[EpochResult],
    *,
    extras: Any = (),
    find: Any = None,
    is_last_try: bool = False,
    home: str = "DE",
    **changes: Any,
) -> CarbonOutcome:
    known = {
        "plan": plan_of(attempts[0].started_at if attempts else None),
        "status": Status.DONE,
        "ended_at": attempts[-1].ended_at if attempts else NOW,
        "energy_kwh": sum(result.energy_kwh or 0 for result in epochs),
    }
    run = run_of(changes.pop("wishes", carbon()), **{**known, **changes})
    used = Used(run, attempts, epochs, (), extras)
    return settle(used, find or find_in(DE=GRID), home=home, is_last_try=is_last_try)


def test_a_run_that_waited_saved_the_difference_to_its_submission() -> None:
    outcome = settled([attempt(1, 6, 8)], [hour(1, 7), hour(2, 8)])
    assert outcome.co2_g == pytest.approx(200)
    assert outcome.run_now_co2_g == pytest.approx(1200)
    assert outcome.saved_g == pytest.approx(1000)
    assert (outcome.zone, outcome.provider, outcome.basis) == ("DE", "cached", BASIS)
    assert outcome.week == "2026-W10"


def test_a_run_that_ran_at_once_saved_nothing() -> None:
    assert settled([attempt(1, 0, 2)], [hour(1, 1), hour(2, 2)]).saved_g == pytest.approx(0)


def test_a_plan_that_was_wrong_cost_something() -> None:
    outcome = settled([attempt(1, 12, 13)], [hour(1, 13)], find=find_in(DE=(100.0,) * 12 + (400.0,) * 12))
    assert outcome.saved_g == pytest.approx(-300)


def test_the_pauses_of_a_plan_are_no_part_of_the_run_at_once() -> None:
    attempts = [attempt(1, 6, 7, end="postponed"), attempt(2, 13, 14)]
    outcome = settled(attempts, [hour(1, 7), hour(2, 14, of=2)])
    # At once it would have trained in the first two hours.
    assert outcome.run_now_co2_g == pytest.approx(1200)
    assert outcome.co2_g == pytest.approx(500)
    assert (outcome.pauses, outcome.paused_s) == (1, 6 * 3600)


def test_what_starting_again_used_is_charged_to_the_plan_alone() -> None:
    attempts = [attempt(1, 6, 7, end="postponed"), attempt(2, 11, 12)]
    extras = [extra_of(1, 0.5, NOW + 7 * HOUR), extra_of(2, 0.25, NOW + 12 * HOUR)]
    outcome = settled(attempts, [hour(1, 7), hour(2, 12, of=2)], extras=extras, energy_kwh=2.75)
    assert outcome.co2_g == pytest.approx(275)
    assert outcome.run_now_co2_g == pytest.approx(2.5 * 600)


def test_what_is_left_of_an_attempt_is_spread_over_all_of_it() -> None:
    extras = [extra_of(1, 1.0, NOW + 8 * HOUR)]
    outcome = settled([attempt(1, 4, 8)], [], extras=extras, energy_kwh=1.0)
    assert outcome.co2_g == pytest.approx((2 * 600 + 2 * 100) / 4)
    trial = [extra_of(1, 1.0, NOW + 8 * HOUR, name="batch_trial")]
    assert settled([attempt(1, 4, 8)], [], extras=trial, energy_kwh=1.0).co2_g == pytest.approx(100)


def test_a_worker_s_zone_counts_before_that_of_the_plan() -> None:
    moved = attempt(1, 0, 1).model_copy(update={"zone": "FRA"})
    outcome = settled([moved], [hour(1, 1)], find=find_in(DE=GRID, FR=(50.0,) * 24))
    assert outcome.zone == "FR"
    assert outcome.co2_g == pytest.approx(50)


def test_each_attempt_is_charged_with_the_grid_it_was_in() -> None:
    plan = plan_of(zone="FR", stays=[{"until_attempt": 1, "zone": "DE"}])
    attempts = [attempt(1, 0, 1, end="postponed"), attempt(2, 1, 2)]
    outcome = settled(
        attempts,
        [hour(1, 1), hour(2, 2, of=2)],
        find=find_in(DE=GRID, FR=(50.0,) * 24),
        plan=plan,
        wishes=carbon(zones=("DE", "FR")),
    )
    assert outcome.co2_g == pytest.approx(650)
    assert outcome.run_now_co2_g == pytest.approx(1200)
    assert outcome.zone == "DE, FR"


def test_waiting_for_a_worker_is_no_saving() -> None:
    outcome = settled([attempt(1, 6, 7)], [hour(1, 7)], plan=plan_of())
    assert outcome.saved_g == pytest.approx(0)
    # Deferred for two hours, and then nobody was free for four: at once it would have begun at the fourth.
    late = settled([attempt(1, 8, 9)], [hour(1, 9)], plan=plan_of(NOW + 2 * HOUR))
    assert late.run_now_co2_g == pytest.approx(100)
    free = settled([attempt(1, 8, 9)], [hour(1, 9)], plan=plan_of(NOW + 8 * HOUR))
    assert free.run_now_co2_g == pytest.approx(600)


def test_a_start_that_a_person_set_is_no_saving() -> None:
    wishes = RunOptions(carbon=carbon(), start_at=NOW + 6 * HOUR)
    outcome = settled([attempt(1, 11, 12)], [hour(1, 12)], options=wishes)
    assert outcome.run_now_co2_g == pytest.approx(100)
    assert outcome.saved_g == pytest.approx(0)


@pytest.mark.parametrize("end", ["paused", "failed", "preempted", "lease_lost"])
def test_a_gap_that_no_plan_made_is_no_saving(end: str) -> None:
    attempts = [attempt(1, 0, 1, end=end), attempt(2, 6, 7, end="postponed"), attempt(3, 12, 13)]
    outcome = settled(attempts, [hour(1, 1), hour(2, 7, of=2), hour(3, 13, of=3)])
    assert outcome.co2_g == pytest.approx(600 + 100 + 400)
    # Without the pause of its plan, the third hour would have followed the second.
    assert outcome.run_now_co2_g == pytest.approx(600 + 100 + 100)


def test_a_start_before_the_plan_let_it_is_no_saving_beyond_it() -> None:
    outcome = settled([attempt(1, 2, 3)], [hour(1, 3)], plan=plan_of(NOW + 9 * HOUR))
    assert outcome.run_now_co2_g == pytest.approx(600)


@pytest.mark.parametrize("wishes", [carbon(), carbon(zones=("DE",))])
def test_without_a_choice_of_zones_an_attempt_is_charged_where_its_worker_was(wishes: CarbonOptions) -> None:
    french = attempt(1, 6, 7).model_copy(update={"zone": "FR"})
    grids = find_in(DE=GRID, FR=(50.0,) * 6 + (20.0,) * 18)
    outcome = settled([french], [hour(1, 7)], wishes=wishes, find=grids)
    assert outcome.co2_g == pytest.approx(20)
    assert outcome.zone == "FR"
    # No plan sent it there: that France is cleaner is not what waiting saved.
    assert outcome.run_now_co2_g == pytest.approx(50)


def test_whoever_settles_a_run_charges_the_zone_of_its_plan() -> None:
    outcome = settled([attempt(1, 6, 7)], [hour(1, 7)], find=find_in(DE=GRID, FR=(50.0,) * 24), home="FR")
    assert outcome.co2_g == pytest.approx(100)
    assert outcome.zone == "DE"
    assert outcome.run_now_co2_g == pytest.approx(600)


def test_unknown_energy_makes_the_saving_unknown() -> None:
    outcome = settled([attempt(1, 6, 8)], [hour(1, 7), hour(2, 8, kwh=None)], energy_kwh=None)
    assert outcome.saved_g is None
    assert "energy is unknown" in (outcome.reason or "")
    # Of an attempt whose worker died a part may be missing that no epoch tells of.
    assert settled([attempt(1, 6, 8)], [hour(1, 7)], energy_kwh=None).saved_g is None


def test_a_gap_in_what_was_recorded_makes_the_saving_unknown() -> None:
    holes = np.array(GRID)
    holes[6] = np.nan
    ran = [attempt(1, 6, 8)], [hour(1, 7), hour(2, 8)]
    with pytest.raises(NotYet):
        settled(*ran, find=find_in(DE=holes.tolist()))
    outcome = settled(*ran, find=find_in(DE=holes.tolist()), is_last_try=True)
    assert (outcome.co2_g, outcome.saved_g) == (None, None)
    assert "has no intensity of DE" in (outcome.reason or "")


def test_what_it_emitted_is_known_where_only_the_run_at_once_is_not() -> None:
    holes = np.array(GRID)
    holes[0] = np.nan
    outcome = settled([attempt(1, 6, 8)], [hour(1, 7), hour(2, 8)], find=find_in(DE=holes.tolist()))
    assert outcome.co2_g == pytest.approx(200)
    assert (outcome.run_now_co2_g, outcome.saved_g) == (None, None)
    assert "has no intensity of DE" in (outcome.reason or "")
    sent = settled(
        [attempt(1, 6, 7).model_copy(update={"zone": "FR"})],
        [hour(1, 7)],
        find=find_in(FR=(50.0,) * 24),
        wishes=carbon(zones=("DE", "FR")),
        is_last_try=True,
    )
    assert sent.co2_g == pytest.approx(50)
    assert (sent.saved_g, sent.zone) == (None, "FR")
    assert "No intensities of DE" in (sent.reason or "")


def test_values_that_may_still_come_are_waited_for() -> None:
    short = find_in(DE=GRID[:7])
    with pytest.raises(NotYet):
        settled([attempt(1, 6, 8)], [hour(1, 7), hour(2, 8)], find=short)
    outcome = settled([attempt(1, 6, 8)], [hour(1, 7), hour(2, 8)], find=short, is_last_try=True)
    assert outcome.saved_g is None


def test_values_that_never_came_are_no_saving() -> None:
    outcome = settled([attempt(1, 6, 7)], [hour(1, 7)], find=find_in(), is_last_try=True)
    assert "No intensities of DE were recorded" in (outcome.reason or "")


def test_a_run_that_never_ran_saved_nothing_and_says_so() -> None:
    outcome = settled([], [], status=Status.CANCELLED)
    assert outcome.saved_g is None
    assert "never ran" in (outcome.reason or "")


def test_a_week_is_that_of_the_end_in_utc() -> None:
    late = NOW + timedelta(days=300)
    assert settled([], [], ended_at=late).week == f"{late:%G-W%V}"
