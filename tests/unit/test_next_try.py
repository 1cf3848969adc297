"""What is proposed to be tried next, and when nothing is."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.next_try import BASE, SCHEMA, draw, surface, with_luck
from schema.next_try import LEAST_CONFIGURATIONS, HeldOut
from untried.model import Prediction
from untried.ranking import Known, Ranked, expected_improvement, is_worth_following, rank_untried
from untried.space import Space, key_of
from untried.wording import why, why_not


@cache
def known() -> tuple[Known, ...]:
    chance = np.random.default_rng(3)
    return tuple(Known(params, *with_luck(params, chance)) for params in (draw(chance) for _ in range(24)))


@cache
def ranked() -> Ranked:
    return rank_untried(known(), SCHEMA)


def test_what_is_proposed_was_never_run_and_the_best_per_gram_comes_first() -> None:
    run = {key_of(each.hyper_params) for each in known()}
    proposed = [key_of(trial.hyper_params) for trial in ranked().trials]
    assert proposed
    assert not run & set(proposed)
    assert len(set(proposed)) == len(proposed)
    rates = [trial.improvement_per_g for trial in ranked().trials]
    assert rates == sorted(rates, reverse=True)
    for trial in ranked().trials:
        assert trial.improvement_per_g == pytest.approx(trial.improvement / trial.co2_g.value)
        assert trial.accuracy.low <= trial.accuracy.value <= trial.accuracy.high
        assert trial.co2_g.low < trial.co2_g.value < trial.co2_g.high


def test_the_same_runs_in_whatever_order_give_the_same_answer_twice() -> None:
    assert rank_untried(known(), SCHEMA) == ranked()


def test_the_grams_of_what_is_proposed_are_near_what_it_takes() -> None:
    held_out = ranked().held_out
    assert held_out is not None
    assert held_out.accuracy_error < held_out.median_accuracy_error
    assert held_out.co2_factor < held_out.median_co2_factor
    first = ranked().trials[0]
    assert first.co2_g.value == pytest.approx(surface(first.hyper_params)[1], rel=0.5)


def test_only_hyperparameters_that_varied_are_changed_and_values_that_are_names_are_among_those_run() -> None:
    for trial in ranked().trials:
        changed = {each.name for each in trial.differences}
        assert changed <= {"learning_rate", "num_epochs", "batch_size", "optimizer", "dropout"}
        assert trial.hyper_params["optimizer"] in ("adam", "sgd")
        assert trial.hyper_params["network"] == BASE["network"]


def test_a_budget_is_kept_to() -> None:
    budget = sorted(each.co2_g for each in known())[8]
    found = rank_untried(known(), SCHEMA, max_co2_g=budget)
    assert found.trials
    assert all(trial.co2_g.value <= budget for trial in found.trials)
    assert not rank_untried(known(), SCHEMA, max_co2_g=1e-9).trials


def test_of_few_possible_ones_only_what_was_not_run_is_proposed() -> None:
    every = [
        {**BASE, "optimizer": name, "schedule": schedule, "augmentation": augmentation}
        for name in ("adam", "sgd", "adamw")
        for schedule in ("constant", "cosine", "step")
        for augmentation in ("none", "crop")
    ]
    # Each choice adds its own to the error; the one left out is the best of all.
    worth = {"sgd": 0.05, "adamw": 0.1, "cosine": 0.02, "step": 0.06, "crop": 0.03}
    errors = [0.03 + sum(worth.get(str(value), 0) for value in params.values()) for params in every]
    rows = [Known(params, 1 - error, 1 + error) for params, error in zip(every, errors, strict=True)]
    left_out = key_of(every[0])
    found = rank_untried(rows[1:], SCHEMA)
    assert [key_of(trial.hyper_params) for trial in found.trials] == [left_out]
    assert not rank_untried(rows, SCHEMA).trials


def test_accuracies_that_follow_from_nothing_are_not_learnt_from() -> None:
    chance = np.random.default_rng(0)
    luck = [each._replace(accuracy=float(chance.uniform(0.5, 0.9))) for each in known()]
    found = rank_untried(luck, SCHEMA)
    assert not found.trials
    assert not is_worth_following(found.held_out)
    assert "no better than by their median" in why_not(found, None)


def test_too_few_of_one_trainer_or_all_alike_are_not_learnt_from() -> None:
    few = rank_untried(known()[: LEAST_CONFIGURATIONS - 1], SCHEMA)
    assert (few.trials, few.held_out) == ((), None)
    assert "11 are there" in why_not(few, None)
    alike = [Known({**BASE, "seed": seed}, 0.9, 1.0) for seed in range(20)]
    assert "differ in none" in why_not(rank_untried(alike, SCHEMA), None)


def test_where_nothing_can_be_better_nothing_is_proposed() -> None:
    perfect = [each._replace(accuracy=1.0) for each in known()]
    assert not rank_untried(perfect, SCHEMA).trials


def test_the_reason_says_what_is_gained_and_how_far_to_trust_it() -> None:
    text = why(ranked().trials[0], ranked())
    assert "per gram" in text
    assert "Learnt from 24 configurations with 24 runs" in text


@pytest.mark.parametrize(
    ("own", "expected"),
    [((0.02, 1.1), True), ((0.03, 1.1), False), ((0.02, 2.1), False)],
    ids=["better in both", "accuracy by luck", "grams by luck"],
)
def test_who_predicts_no_better_than_the_median_is_not_followed(own: Any, expected: bool) -> None:
    held_out = HeldOut(
        configurations=20,
        accuracy_error=own[0],
        median_accuracy_error=0.03,
        co2_factor=own[1],
        median_co2_factor=2.0,
    )
    assert is_worth_following(held_out) is expected


@given(st.floats(-6, -0.5), st.floats(0.01, 1.5), st.floats(0.001, 0.5))
def test_the_expected_improvement_is_the_mean_of_what_is_gained(
    mean: float, std: float, least: float
) -> None:
    (found,) = expected_improvement(Prediction(np.array([mean]), np.array([std])), least)
    places = np.linspace(-8, 8, 20_001)
    weights = np.exp(-(places**2) / 2) / math.sqrt(2 * math.pi) * (places[1] - places[0])
    gains = np.maximum(0, least + 0.002 - np.exp(mean + std * places))
    assert found == pytest.approx(min(least, float((weights * gains).sum())), abs=1e-6)


NUMBERS = st.lists(
    st.tuples(st.floats(1e-5, 10), st.integers(1, 65_536), st.sampled_from(["adam", "sgd", "adamw"])),
    min_size=2,
    max_size=8,
)


@given(NUMBERS)
def test_every_point_of_the_space_is_near_what_was_run_and_within_the_bounds(values: Any) -> None:
    rows = [
        {**BASE, "learning_rate": rate, "batch_size": size, "optimizer": name} for rate, size, name in values
    ]
    space = Space.around(SCHEMA, rows)
    varied = {name for name in rows[0] if len({row[name] for row in rows}) > 1}
    assert {each.name for each in space.dimensions} == varied
    if not varied:
        return
    for point in space.points(rows[:1], 20):
        assert isinstance(point["batch_size"], int)
        assert 1 <= point["batch_size"] <= 65_536
        assert isinstance(point["learning_rate"], float)
        assert point["learning_rate"] <= 10
        assert point["optimizer"] in {row["optimizer"] for row in rows}
    assert space.encode(rows).min() >= -1e-9
    assert space.encode(rows).max() <= 1 + 1e-9
