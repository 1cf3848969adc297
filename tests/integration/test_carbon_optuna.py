"""Carbon budgets and Pareto fronts in real Optuna studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.session import CarbonSession
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.integrations.optuna import (
    CO2,
    ENERGY,
    CarbonBudget,
    CarbonStudy,
    pareto_front,
    spent_g,
)
from tests.carbon_parts import Clock, SteadyGauge, write_grid

optuna.logging.set_verbosity(optuna.logging.WARNING)


def measured(path: Path, clock: Clock, objective: Any, **options: Any) -> CarbonStudy:
    given: dict[str, Any] = {
        "gauge": SteadyGauge(),
        "config": TrainingConfig(carbon_threshold=100.0),
        **options,
    }
    file = write_grid(path / "grid.json", given.pop("hours", [100.0] * 48))
    return CarbonStudy(objective, carbon_model="cached", region="US-CA", api_key=file, clock=clock, **given)


def hours_of(clock: Clock) -> Any:
    """An objective whose trials take as many hours as they say."""

    def objective(trial: optuna.Trial) -> float:
        hours = trial.suggest_int("hours", 1, 4)
        clock.pass_by(hours * 3600)
        return 1.0 / hours

    return objective


def enqueued(hours: list[int], **options: Any) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), **options)
    for each in hours:
        study.enqueue_trial({"hours": each})
    return study


def test_every_trial_notes_its_energy_and_co2(tmp_path: Path) -> None:
    clock = Clock()
    objective = measured(tmp_path, clock, hours_of(clock))
    study = enqueued([1, 3])
    study.optimize(objective, n_trials=2)
    assert [trial.user_attrs[CO2] for trial in study.trials] == pytest.approx([100.0, 300.0])
    assert spent_g(study) == pytest.approx(400.0)
    assert [metrics.total_energy_kwh for metrics in objective.metrics] == pytest.approx([1.0, 3.0])


def test_a_study_stops_before_the_trial_that_would_exceed_its_budget(tmp_path: Path) -> None:
    clock, budget = Clock(), CarbonBudget(1000.0)
    study = enqueued([2] * 10)
    study.optimize(measured(tmp_path, clock, hours_of(clock)), n_trials=10, callbacks=[budget])
    assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 5
    assert spent_g(study) == pytest.approx(1000.0)
    assert budget.reason == "1e+03 of 1e+03 g are spent, and a trial emits 200 g on average."


def test_a_trial_that_failed_has_spent_something_too(tmp_path: Path) -> None:
    clock = Clock()

    def failing(trial: optuna.Trial) -> float:
        clock.pass_by(3600)
        raise ValueError("diverged")

    study = optuna.create_study()
    study.optimize(
        measured(tmp_path, clock, failing), n_trials=9, callbacks=[CarbonBudget(300.0)], catch=(ValueError,)
    )
    assert len(study.trials) == 3


def test_a_budget_without_any_known_co2_stops_nothing_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    study = enqueued([1, 1])
    objective = measured(tmp_path, clock, hours_of(clock), gauge=SteadyGauge(reason="No meter."))
    study.optimize(objective, n_trials=2, callbacks=[CarbonBudget(1.0)])
    assert len(study.trials) == 2
    assert "the budget of 1 g cannot be kept" in caplog.text
    assert study.trials[0].user_attrs["carbon.reason"] == "No meter."


def test_a_budget_that_allows_nothing_is_refused() -> None:
    with pytest.raises(CarbonError, match="above zero"):
        CarbonBudget(0.0)


def test_value_and_co2_are_two_objectives_with_a_pareto_front(tmp_path: Path) -> None:
    clock = Clock()
    study = enqueued([1, 4, 2, 4], directions=["minimize", "minimize"])
    study.optimize(measured(tmp_path, clock, hours_of(clock), with_co2=True), n_trials=4)
    assert study.trials[1].values == [0.25, pytest.approx(400.0)]
    front = pareto_front(study)
    assert sorted({trial.params["hours"] for trial in front}) == [1, 2, 4]
    assert [trial.user_attrs[CO2] for trial in front] == sorted(trial.user_attrs[CO2] for trial in front)


@pytest.mark.parametrize(("direction", "best"), [("minimize", [1, 2, 4]), ("maximize", [1])])
def test_a_study_of_one_objective_has_a_front_as_well(
    tmp_path: Path, direction: str, best: list[int]
) -> None:
    clock = Clock()
    study = enqueued([4, 1, 2], direction=direction)
    study.optimize(measured(tmp_path, clock, hours_of(clock)), n_trials=3)
    assert [trial.params["hours"] for trial in pareto_front(study)] == best


def test_unknown_co2_as_an_objective_fails_the_trial_with_its_reason(tmp_path: Path) -> None:
    clock = Clock()
    study = enqueued([1], directions=["minimize", "minimize"])
    objective = measured(
        tmp_path, clock, hours_of(clock), with_co2=True, gauge=SteadyGauge(reason="No meter.")
    )
    with pytest.raises(CarbonError, match="trial 0 is not known: No meter"):
        study.optimize(objective, n_trials=1)


def test_a_trial_of_which_a_part_is_unknown_is_none_of_the_clean_ones(tmp_path: Path) -> None:
    clock = Clock()
    study = enqueued([4])
    study.optimize(measured(tmp_path, clock, hours_of(clock), hours=[100.0]), n_trials=1)
    attrs = study.trials[0].user_attrs
    assert (attrs[CO2], attrs[ENERGY]) == (None, pytest.approx(4.0))
    assert pareto_front(study) == []


def test_a_trial_waits_for_a_clean_start_and_within_where_it_asks(tmp_path: Path) -> None:
    clock, began = Clock(), list[float]()

    def stepwise(_trial: optuna.Trial, session: CarbonSession) -> float:
        for _ in range(3):
            session.before_step()
            began.append(clock.monotonic_ns() / 3.6e12)
            clock.pass_by(3600)
        return 0.0

    objective = measured(
        tmp_path, clock, stepwise, takes_session=True, hours=[200.0, 100.0, 200.0, 90.0, 90.0]
    )
    optuna.create_study().optimize(objective, n_trials=1)
    assert began == [1.0, 3.0, 4.0]
    assert objective.metrics[0].pauses == 2


def test_a_trial_of_whose_energy_a_part_is_unknown_notes_none_of_it(tmp_path: Path) -> None:
    clock, gauge = Clock(), SteadyGauge()

    def half_measured(_trial: optuna.Trial, session: CarbonSession) -> float:
        session.before_step()
        clock.pass_by(3600)
        session.before_step()
        gauge.reason = "The meter is gone."
        clock.pass_by(3600)
        return 0.0

    study = optuna.create_study()
    objective = measured(tmp_path, clock, half_measured, takes_session=True, gauge=gauge)
    study.optimize(objective, n_trials=1)
    assert objective.metrics[0].total_energy_kwh == pytest.approx(1.0)
    assert objective.metrics[0].unknown_energy_duration > 0
    assert study.trials[0].user_attrs[ENERGY] is None
