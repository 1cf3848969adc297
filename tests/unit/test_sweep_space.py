"""Search spaces: what a trainer cannot train is refused by name, with the remedy."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from errors import InvalidInput
from schema.sweeps import (
    Dimension,
    FloatRange,
    IntRange,
    Objective,
    Sweep,
    SweepRequest,
    SweepState,
    SweepSummary,
    TrialState,
)
from sweeps import complete_request
from sweeps.account import find_limit, is_hopeless
from sweeps.space import grid_size, list_grid, steps
from sweeps.study import distributions_of
from tests.sweep_parts import request

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def refused(**changes: Any) -> dict[str, str]:
    """Return why a request is refused, by field."""
    with pytest.raises(InvalidInput) as error:
        request(**changes)
    return {detail.field: detail.message for detail in error.value.details}


def test_a_request_is_completed_with_the_validation_part_that_its_objective_needs() -> None:
    complete = request()
    assert complete.objectives == (Objective.VALIDATION_ACCURACY,)
    assert complete.hyper_params["validation_fraction"] == 0.1
    assert complete.hyper_params["optimizer"] == "adam"
    assert not complete.hyper_params.keys() & complete.space.keys()


def test_a_trainer_without_a_validation_part_is_searched_by_test_accuracy() -> None:
    def validate(raw: dict[str, Any]) -> dict[str, Any]:
        from errors import FieldError

        if "validation_fraction" in raw:
            field = "hyper_params.validation_fraction"
            raise InvalidInput("no", details=[FieldError(field, "there is no such field")])
        return {**raw, "num_epochs": 2}

    asked = SweepRequest.model_validate({"space": {"x": {"type": "int", "low": 1, "high": 2}}})
    assert complete_request(asked, validate).objectives == (Objective.TEST_ACCURACY,)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"space": {"lerning_rate": {"type": "int", "low": 1, "high": 2}}}, "space.lerning_rate",
         "did you mean learning_rate?"),
        ({"space": {"network": {"type": "categorical", "choices": ["lenet5", "alexnet"]}}}, "space.network",
         "'alexnet' cannot be trained"),
        ({"space": {"batch_size": {"type": "float", "low": 8.5, "high": 16.0}}}, "space.batch_size",
         "should be a whole number"),
        ({"space": {"seed": {"type": "float", "low": 0.5, "high": 1.0}}}, "space.seed", '"type": "int"'),
        ({"space": {"dropout": {"type": "float", "low": 0.0, "high": 1.5}}}, "space.dropout",
         "correct the range"),
        ({"space": {"dataset": {"type": "categorical", "choices": ["digits"]}}}, "space.dataset",
         "set it in hyper_params"),
        ({"space": {"num_epochs": {"type": "int", "low": 1, "high": 2}}}, "space.num_epochs",
         "leave it out of one of the two"),
        ({"hyper_params": {"optimizer": "lbfgs"}}, "hyper_params.optimizer", "Input should be"),
        ({"hyper_params": {"validation_fraction": 0.0}}, "hyper_params.validation_fraction", "set it to 0.1"),
        ({"sampler": "grid"}, "space.learning_rate", "give it a step"),
        ({"space": {"batch_size": {"type": "int", "low": 16, "high": 120, "step": 16}}},
         "space.batch_size.high",
         "120 is not reached from 16 in steps of 16: set high to 112 or 128, or choose another step"),
        ({"space": {"dropout": {"type": "float", "low": 0.1, "high": 0.29, "step": 0.1}}},
         "space.dropout.high", "set high to 0.3 or 0.2"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_by_name(changes: dict[str, Any], field: str, reason: str) -> None:
    reasons = refused(**changes)
    assert next(iter(reasons)) == field
    assert reason in reasons[field]


def test_a_grid_of_too_many_points_is_refused() -> None:
    axis = {"type": "float", "low": 0.0, "high": 0.5, "step": 0.001}
    assert "251,001 points" in refused(sampler="grid", space={"dropout": axis, "momentum": axis})["space"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pruner": "median", "sampler": "nsga2"}, "pruner"),
        ({"pruner": "median", "objectives": ["co2_g"]}, "pruner"),
        ({"sampler": "nsga2", "objectives": ["co2_g"]}, "nsga2 weighs two"),
        ({"objectives": ["co2_g", "co2_g"]}, "twice"),
        ({"space": {}}, "at least 1"),
        (
            {"space": {"x": {"type": "float", "low": 0.001, "high": 0.1, "step": 1e-40}}},
            "step of 1e-40 is too small",
        ),
        ({"space": {"x": {"type": "float", "low": -1e308, "high": 1e308}}}, "make it narrower"),
        ({"limits": {"trials": 10_001}}, "10000"),
        ({"space": {"x": {"type": "float", "low": 2, "high": 1}}}, "swap them"),
        ({"space": {"x": {"type": "float", "low": 0, "high": 1, "log": True}}}, "begins above 0"),
        ({"space": {"x": {"type": "int", "low": 1, "high": 8, "log": True, "step": 2}}}, "no step"),
        ({"space": {"x": {"type": "categorical", "choices": ["a", "a"]}}}, "twice"),
        ({"options": {"start_at": "2030-01-01T00:00:00Z"}}, "start_at"),
        ({"options": {"tags": [f"t{number}" for number in range(31)]}}, "at most 30"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        request(**changes)


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 30), st.sampled_from([1, 0.1, 0.001, 1e-7]))
def test_what_is_not_refused_is_searched_up_to_its_end(low: int, width: int, step: int, unit: float) -> None:
    low_, high_, step_ = (float(f"{value * unit:.12g}") for value in (low, low + width, step))
    axis = FloatRange(type="float", low=low_, high=high_, step=step_)
    asked = SweepRequest.model_validate({"space": {"x": axis}, "objectives": ["test_accuracy"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = distributions_of(asked)["x"].high  # type: ignore[attr-defined] # of a range
    if end == high_:
        complete_request(asked, lambda raw: dict(raw))
        return
    with pytest.raises(InvalidInput) as error:
        complete_request(asked, lambda raw: dict(raw))
    assert [detail.field for detail in error.value.details] == ["space.x.high"]


def test_a_grid_has_every_point_once_and_no_noise_of_arithmetic() -> None:
    assert steps(FloatRange(type="float", low=0.0, high=0.3, step=0.1)) == (0.0, 0.1, 0.2, 0.3)
    space: dict[str, Dimension] = {
        "a": IntRange(type="int", low=1, high=6, step=2),
        "b": FloatRange(type="float", low=1, high=1),
    }
    assert list(list_grid(space)) == [{"a": 1, "b": 1}, {"a": 3, "b": 1}, {"a": 5, "b": 1}]
    assert grid_size(space) == 3


def test_a_grid_is_searched_whole_unless_fewer_trials_are_asked_for() -> None:
    space = {"network": {"type": "categorical", "choices": ["small_cnn", "lenet5", "resnet9"]}}
    assert request(sampler="grid", space=space, limits={"hours": 1}).limits.trials == 3
    assert request(sampler="grid", space=space, limits={"trials": 2}).limits.trials == 2


@pytest.mark.parametrize(
    ("limits", "text", "is_budget"),
    [
        ({"trials": 3}, "all 3 trials are begun", False),
        ({"trials": 4, "energy_wh": 12}, "12 Wh are used", True),
        ({"trials": 4, "co2_g": 3.5}, "4 g of CO₂ are used", True),
        ({"trials": 4, "hours": 1}, "it has had its 1 h", True),
        ({"trials": 4, "end_at": NOW}, "after 2026-03-01 00:00 UTC", True),
    ],
)
def test_a_limit_is_reached_when_what_it_is_about_is_used(
    limits: dict[str, Any], text: str, is_budget: bool
) -> None:
    asked = SweepRequest.model_validate(
        {"space": {"x": {"type": "int", "low": 1, "high": 2}}, "limits": limits}
    )
    sweep = Sweep(
        sweep_id="0" * 32, request=asked, state=SweepState.RUNNING, created_at=NOW - timedelta(hours=1)
    )
    used = SweepSummary(counts={TrialState.COMPLETE: 3}, energy_kwh=0.012, co2_g=4)
    limit = find_limit(sweep, used, NOW, is_exhausted=False)
    assert limit is not None
    assert (text in limit.text, limit.is_budget) == (True, is_budget)
    less = SweepSummary(counts={TrialState.COMPLETE: 2}, energy_kwh=0.011, co2_g=3)
    before = NOW - timedelta(seconds=1)
    assert find_limit(sweep, less, before, is_exhausted=False) is None


def test_a_sweep_is_hopeless_only_while_nothing_has_come_of_it() -> None:
    limits = request(limits={"trials": 20}).limits
    assert not is_hopeless(SweepSummary(counts={TrialState.FAILED: 4}), limits)
    assert is_hopeless(SweepSummary(counts={TrialState.FAILED: 5}), limits)
    assert not is_hopeless(SweepSummary(counts={TrialState.FAILED: 9, TrialState.PRUNED: 1}), limits)
