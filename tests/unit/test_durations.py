"""How long a run is taken for, and from what."""

from __future__ import annotations

from typing import Any

import pytest

from scheduling.durations import GUESSED_EPOCH_S, GUESSED_START_S, Work, estimate
from schema import Run
from tests.planning import HYPER_PARAMS, past_run
from tests.records import epoch

HOUR_S = 3600.0


def work_of(*past: Run, own: Any = (), **changes: Any) -> Work:
    return estimate(HYPER_PARAMS, past, own=own, **changes)


def test_the_median_of_past_runs_is_taken_with_a_margin() -> None:
    work = work_of(*(past_run(epoch_h=hours) for hours in (1.0, 2.0, 1.1)))
    assert work.likely.total_seconds() == pytest.approx(4 * 1.1 * HOUR_S)
    # The slowest of three says more than a fifth on top.
    assert work.duration.total_seconds() == pytest.approx(4 * 2.0 * HOUR_S)
    assert work.source == "3 past runs of the same network and dataset"


def test_what_an_attempt_takes_besides_its_epochs_is_the_cost_of_starting_again() -> None:
    work = work_of(past_run(start_h=0.5))
    assert work.resume_cost.total_seconds() == pytest.approx(0.5 * HOUR_S)
    assert work.likely.total_seconds() == pytest.approx(4.5 * HOUR_S)
    assert work_of(past_run(start_h=0.5), is_started=True).likely.total_seconds() == pytest.approx(4 * HOUR_S)


def test_a_resumed_run_says_nothing_of_what_starting_takes() -> None:
    work = work_of(past_run(start_h=50.0, attempt=2))
    assert work.resume_cost.total_seconds() == GUESSED_START_S
    assert "a guess of 60 s to start" in work.source


def test_without_past_runs_it_is_a_guess_that_says_so() -> None:
    work = work_of()
    assert work.is_guess
    assert work.likely.total_seconds() == 4 * GUESSED_EPOCH_S + GUESSED_START_S
    assert "a guess of 60 s per epoch" in work.source
    assert work.energy_kwh is None


@pytest.mark.parametrize(
    "other",
    [
        past_run(hyper_params={**HYPER_PARAMS, "network": "resnet9"}),
        past_run(hyper_params={**HYPER_PARAMS, "dataset": "mnist"}),
        past_run(simulated=True),
        past_run(epochs_done=0),
    ],
    ids=["network", "dataset", "simulated", "no epoch"],
)
def test_a_run_of_another_kind_says_nothing(other: Run) -> None:
    assert work_of(other).is_guess


def test_runs_of_the_same_batch_size_are_preferred() -> None:
    other = past_run(epoch_h=9.0, hyper_params={**HYPER_PARAMS, "batch_size": 8})
    assert work_of(other, past_run()).likely.total_seconds() == pytest.approx(4 * HOUR_S)
    assert work_of(other).likely.total_seconds() == pytest.approx(36 * HOUR_S)


def test_two_of_its_own_epochs_say_more_than_past_runs() -> None:
    own = [epoch(number, duration_s=30.0, energy_kwh=0.25) for number in (1, 2)]
    work = work_of(past_run(), own=own, is_started=True)
    assert work.likely.total_seconds() == pytest.approx(60)
    assert work.energy_kwh == pytest.approx(0.5)
    assert work.source == "its own 2 epochs"


def test_the_first_epoch_and_a_resumed_one_are_left_out() -> None:
    own = [
        epoch(1, duration_s=900.0),
        epoch(2, duration_s=30.0),
        epoch(3, duration_s=500.0, resumed_after_s=490.0),
        epoch(4, duration_s=30.0),
    ]
    work = estimate({**HYPER_PARAMS, "num_epochs": 6}, [], own=own, is_started=True)
    assert work.likely.total_seconds() == pytest.approx(60)


def test_no_run_takes_longer_than_it_may() -> None:
    work = work_of(past_run(), limit_s=100.0)
    assert work.duration.total_seconds() == 100
    assert "the longest it may train" in work.source


def test_absurd_numbers_of_epochs_do_not_leave_the_calendar() -> None:
    work = estimate({**HYPER_PARAMS, "num_epochs": 10**15}, [])
    assert work.likely.days == 366


def test_the_energy_is_that_of_past_epochs() -> None:
    assert work_of(past_run()).energy_kwh == pytest.approx(8.0)
    assert work_of(past_run(energy_kwh=None)).energy_kwh is None
