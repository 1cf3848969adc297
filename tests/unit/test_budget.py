"""A run ends before the epoch that would exceed a budget."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schema import CarbonOptions, EpochResult, Run, RunOptions, Status
from work.budget import Budget


def run_with(*, used_s: float | None = None, **limits: float | None) -> Run:
    return Run(
        run_id="r", hyper_params={"num_epochs": 9, **limits}, status=Status.RUNNING, num_epochs=9,
        time_added=datetime.now(UTC), duration_s=used_s,
    )  # fmt: skip


def epoch(number: int, *, energy_kwh: float | None = 0.001, co2_g: float | None = 0.4) -> EpochResult:
    return EpochResult(
        epoch=number, train_loss=1, train_accuracy=0, test_loss=1, test_accuracy=0, duration_s=10,
        energy_kwh=energy_kwh, co2_g=co2_g,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "last_epoch"),
    [
        ({"max_energy_wh": 3.0}, 3),
        ({"max_energy_wh": 3.9}, 3),
        ({"max_co2_g": 0.9}, 2),
        ({"max_duration_s": 5.0}, 1),
    ],
)
def test_the_next_epoch_would_exceed_it(limits: dict[str, float | None], last_epoch: int) -> None:
    budget = Budget(run_with(**limits))
    reasons = [budget.spend(epoch(number)) for number in range(1, last_epoch + 1)]
    assert reasons[:-1] == [None] * (last_epoch - 1)
    assert reasons[-1] is not None
    assert next(iter(limits)) in reasons[-1]


def test_earlier_attempts_count() -> None:
    assert Budget(run_with(used_s=25, max_duration_s=40)).spend(epoch(1)) is not None
    assert Budget(run_with(used_s=0, max_duration_s=40)).spend(epoch(1)) is None


def test_without_a_limit_nothing_ends() -> None:
    assert Budget(run_with(max_energy_wh=None)).spend(epoch(1)) is None


def test_an_unknown_amount_ends_nothing() -> None:
    assert Budget(run_with(max_energy_wh=0.5)).spend(epoch(1, energy_kwh=None, co2_g=None)) is None


def test_the_later_part_of_a_resumed_epoch_stands_for_a_whole_one() -> None:
    # 1 Wh for a quarter of the epoch: the next one takes 4 Wh.
    resumed = epoch(3).model_copy(update={"duration_s": 40.0, "resumed_after_s": 30.0})
    assert Budget(run_with(max_energy_wh=4.9)).spend(resumed) is not None
    assert Budget(run_with(max_energy_wh=5.1)).spend(resumed) is None


def test_the_time_of_the_earlier_part_of_a_resumed_epoch_is_counted_once() -> None:
    # 30 s were counted with the attempt that trained them; 10 s more, and 40 s of the next epoch: 80 s.
    resumed = epoch(3).model_copy(update={"duration_s": 40.0, "resumed_after_s": 30.0})
    assert Budget(run_with(used_s=30, max_duration_s=81)).spend(resumed) is None
    assert Budget(run_with(used_s=30, max_duration_s=79)).spend(resumed) is not None


@pytest.mark.parametrize(
    ("limit_g", "option_g", "last_epoch"), [(None, 0.9, 2), (0.9, 9.0, 2), (9.0, 0.9, 2), (0.9, None, 2)]
)
def test_of_two_budgets_of_co2_the_smaller_one_counts(
    limit_g: float | None, option_g: float | None, last_epoch: int
) -> None:
    options = RunOptions(carbon=CarbonOptions(max_co2_g=option_g))
    budget = Budget(run_with(max_co2_g=limit_g).model_copy(update={"options": options}))
    reasons = [budget.spend(epoch(number)) for number in range(1, last_epoch + 1)]
    assert reasons[0] is None
    assert "max_co2_g 0.9" in str(reasons[1])


def test_the_reason_names_the_limit() -> None:
    reason = Budget(run_with(max_co2_g=0.1)).spend(epoch(1))
    assert str(reason).endswith("would exceed max_co2_g 0.1.")
