"""The learning rates of every schedule, against values computed by hand and by torch."""

from __future__ import annotations

import math

import pytest
import torch

from trainers.params import CnnHyperParams
from trainers.schedules import learning_rate_at


def rates(num_epochs: int = 4, steps_per_epoch: int = 2, **changes: object) -> list[float]:
    hyper_params = CnnHyperParams.model_validate({"learning_rate": 0.8, "num_epochs": num_epochs, **changes})
    steps = range(1, num_epochs * steps_per_epoch + 1)
    return [learning_rate_at(step, hyper_params, steps_per_epoch=steps_per_epoch) for step in steps]


def test_constant() -> None:
    assert rates(schedule="constant") == [0.8] * 8


def test_step_multiplies_at_the_start_of_an_epoch() -> None:
    expected = [0.8] * 4 + [0.4] * 4 + [0.2] * 2
    assert rates(5, schedule="step", step_epochs=2, step_factor=0.5) == pytest.approx(expected)


def test_cosine_starts_at_the_top_and_would_be_zero_after_the_last_step() -> None:
    # cos(0), cos(45 degrees), cos(90 degrees), cos(135 degrees).
    half = math.sqrt(0.5)
    expected = [0.8, 0.4 * (1 + half), 0.4, 0.4 * (1 - half)]
    assert rates(2, schedule="cosine") == pytest.approx(expected)


def test_warm_up_rises_in_a_line_to_the_first_full_step() -> None:
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]
    assert rates(2, 3, schedule="constant", warmup_epochs=1.0) == pytest.approx(expected)


def test_cosine_falls_over_what_the_warm_up_leaves() -> None:
    half = math.sqrt(0.5)
    expected = [0.8 / 3, 1.6 / 3, 0.8, 0.4 * (1 + half), 0.4, 0.4 * (1 - half)]
    assert rates(3, schedule="cosine", warmup_epochs=1.0) == pytest.approx(expected)


def test_one_cycle_by_hand() -> None:
    # 10 steps: up from 1/25 at the first to the top at the third, then down to 1/250,000 at the last.
    learned = rates(5, schedule="one_cycle")
    assert learned[0] == pytest.approx(0.032)
    assert learned[1] == pytest.approx((0.8 + 0.032) / 2)
    assert learned[2] == pytest.approx(0.8)
    assert learned[9] == pytest.approx(0.0000032)
    assert learned[2:] == sorted(learned[2:], reverse=True)


def test_one_cycle_rises_for_as_long_as_the_warm_up_says() -> None:
    learned = rates(5, schedule="one_cycle", warmup_epochs=2.0)
    assert learned.index(max(learned)) == 3


def test_one_cycle_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.8)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.8, total_steps=30)
    theirs = []
    for step in range(30):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 29:
            schedule.step()
    assert rates(10, 3, schedule="one_cycle") == pytest.approx(theirs)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "step"])
@pytest.mark.parametrize("warmup_epochs", [0.0, 0.3, 1.0, 50.0])
def test_a_run_of_one_step_has_a_rate(schedule: str, warmup_epochs: float) -> None:
    (rate,) = rates(1, 1, schedule=schedule, warmup_epochs=warmup_epochs)
    assert 0 < rate <= 0.8
