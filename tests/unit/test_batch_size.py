"""Which batch sizes are tried, which one is taken, and the learning rate that goes with it."""

from __future__ import annotations

import pytest

from trainers.batch_size import Trial, choose, choose_yardstick, describe, list_candidates, scale
from trainers.params import AUTO, CnnHyperParams


@pytest.mark.parametrize(
    ("train_images", "sizes"),
    [
        (1, [32]),
        (511, [32]),
        (512, [32, 64]),
        (1_437, [32, 64, 128]),
        (60_000, [32, 64, 128, 256, 512, 1024, 2048, 4096]),
        (10**9, [32, 64, 128, 256, 512, 1024, 2048, 4096]),
    ],
)
def test_sizes_are_powers_of_two_that_leave_an_epoch_eight_steps(train_images: int, sizes: list[int]) -> None:
    assert list_candidates(train_images) == sizes


def test_the_fewest_joules_per_image_win_though_another_size_is_faster() -> None:
    frugal, fast = Trial(64, 1000, 2.0, 50.0), Trial(128, 1000, 1.0, 60.0)
    assert choose([frugal, fast]) is frugal


def test_where_one_size_has_no_joules_all_are_compared_by_seconds() -> None:
    trials = [Trial(64, 1000, 2.0, 50.0), Trial(128, 1000, 1.0, None)]
    assert choose_yardstick(trials) == "s"
    assert choose(trials).batch_size == 128


def test_joules_are_compared_per_image_and_not_per_span() -> None:
    assert choose([Trial(64, 1000, 1.0, 40.0), Trial(128, 3000, 1.0, 60.0)]).batch_size == 128


@pytest.mark.parametrize(("joules", "chosen"), [(96.0, 32), (94.0, 64)])
def test_of_sizes_within_five_percent_the_smallest_wins(joules: float, chosen: int) -> None:
    assert choose([Trial(32, 1000, 1.0, 100.0), Trial(64, 1000, 1.0, joules)]).batch_size == chosen


@pytest.mark.parametrize(
    ("optimizer", "size", "rate"),
    [
        ("sgd", 64, 0.01),
        ("sgd", 32, 0.005),
        ("sgd", 256, 0.04),  # 4 x 64: four times the rate
        ("sgd", 512, 0.08),
        ("sgd", 2048, 0.16),  # from 512 on with the square root: 0.08 x sqrt(4)
        ("adam", 64, 0.01),
        ("adam", 16, 0.005),
        ("adamw", 256, 0.02),  # sqrt(4)
        ("rmsprop", 1024, 0.04),  # sqrt(16)
    ],
)
def test_the_learning_rate_is_scaled_from_the_default_batch_size(
    optimizer: str, size: int, rate: float
) -> None:
    hyper_params = CnnHyperParams.model_validate(
        {"optimizer": optimizer, "learning_rate": 0.01, "batch_size": AUTO}
    )
    scaled = scale(hyper_params, size)
    assert scaled.images_per_step == size
    assert scaled.learning_rate == pytest.approx(rate)
    changed = {"batch_size", "learning_rate"}
    assert scaled.model_dump(exclude=changed) == hyper_params.model_dump(exclude=changed)


def test_a_scaled_learning_rate_stays_within_the_bound_of_its_field() -> None:
    hyper_params = CnnHyperParams(optimizer="sgd", learning_rate=9.0, batch_size=AUTO)
    scaled = scale(hyper_params, 4096)
    assert scaled.learning_rate == 10.0
    assert CnnHyperParams.model_validate_json(scaled.model_dump_json()) == scaled


def test_the_reference_of_the_rule_is_the_default_batch_size() -> None:
    assert scale(CnnHyperParams(), CnnHyperParams().images_per_step) == CnnHyperParams()


def test_a_batch_size_that_is_still_to_be_tried_is_no_number() -> None:
    with pytest.raises(ValueError, match="auto"):
        _ = CnnHyperParams(batch_size=AUTO).images_per_step


def test_the_table_of_a_trial_fits_in_a_line() -> None:
    trials = [Trial(64, 1000, 2.0, 50.0), Trial(128, 1000, 1.0, None)]
    assert describe(trials) == "64: 2 ms, 50 mJ; 128: 1 ms, energy unknown"
