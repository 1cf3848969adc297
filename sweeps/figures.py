"""A sweep's figures: Optuna's own, as Plotly JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from schema.sweeps import Objective, ParamValue, Sweep, SweepFigures, Trial
from schema.sweeps import TrialState as Ending
from sweeps.study import directions_of, distributions_of

# Of the importances: what the best quarter of the trials has in common. Of the default, the best tenth, a
# sweep of a dozen trials has one.
_BEST_SHARE: Final = 0.25
_FEWEST_FOR_IMPORTANCES: Final = 4
_ACCURACY_AND_CO2: Final = (Objective.VALIDATION_ACCURACY, Objective.CO2_G)
_NUMBER: Final = re.compile(r'"number": (\d+)')
_TITLES: Final = {
    Objective.VALIDATION_ACCURACY: "Validation accuracy",
    Objective.VALIDATION_LOSS: "Validation loss",
    Objective.TEST_ACCURACY: "Test accuracy",
    Objective.TEST_LOSS: "Test loss",
    Objective.CO2_G: "CO₂ (g)",
    Objective.ENERGY_KWH: "Energy (kWh)",
    Objective.DURATION_S: "Duration (s)",
}


def draw(sweep: Sweep, trials: Sequence[Trial]) -> SweepFigures:
    """Draw a sweep's history, the importances of its hyperparameters and its Pareto front.

    The front is that of the first two objectives, of a sweep about one thing of accuracy against CO₂. Only
    complete trials are drawn.
    """
    goals = sweep.request.goals
    known = [trial for trial in trials if trial.state is Ending.COMPLETE and trial.values is not None]
    missing: dict[str, str] = {}
    history, importances, front = [], None, None
    if not known:
        missing["history"] = "There is no complete trial yet."
    else:
        for place, goal in enumerate(goals):
            history.append(_history(_study(sweep, known, [(goal, place)]), goal, known))
    if len(known) < _FEWEST_FOR_IMPORTANCES:
        missing["importances"] = (
            f"They need {_FEWEST_FOR_IMPORTANCES} complete trials; there are {len(known)}."
        )
    elif len({trial.values for trial in known}) == 1:
        missing["importances"] = "All trials came out the same, so nothing made a difference."
    else:
        importances = _importances(_study(sweep, known, [(goals[0], 0)]), goals[0])
    if len(goals) > 1:
        places = [(goal, place) for place, goal in enumerate(goals[:2])]
        front = _front(_study(sweep, known, places), goals[:2], known) if known else None
    else:
        front = _accuracy_against_co2(sweep, known)
    if front is None:
        missing["front"] = "There is no complete trial yet whose accuracy and CO₂ are known."
    return SweepFigures(history=tuple(history), importances=importances, front=front, missing=missing)


def _study(sweep: Sweep, trials: Sequence[Trial], goals: Sequence[tuple[Objective, int]]) -> optuna.Study:
    """Return the trials as a study of some of the values they have, by their place."""
    values = [[trial.values[place] for _, place in goals] for trial in trials if trial.values]
    return _study_of(sweep, trials, [goal for goal, _ in goals], values)


def _study_of(
    sweep: Sweep, trials: Sequence[Trial], goals: Sequence[Objective], values: Sequence[Sequence[float]]
) -> optuna.Study:
    study = optuna.create_study(directions=directions_of(goals), sampler=optuna.samplers.RandomSampler())
    distributions = distributions_of(sweep.request)
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                params=dict(trial.params),
                distributions=distributions,
                values=list(own),
            )
            for trial, own in zip(trials, values, strict=True)
        ]
    )
    return study


def _history(study: optuna.Study, goal: Objective, trials: Sequence[Trial]) -> str:
    drawn = optuna.visualization.plot_optimization_history(study, target_name=_TITLES[goal])
    return _written(drawn, trials)


def _importances(study: optuna.Study, goal: Objective) -> str:
    evaluator = PedAnovaImportanceEvaluator(target_quantile=_BEST_SHARE)
    drawn = optuna.visualization.plot_param_importances(study, evaluator=evaluator, target_name=_TITLES[goal])
    return _written(drawn, ())


def _front(study: optuna.Study, goals: Sequence[Objective], trials: Sequence[Trial]) -> str:
    names = [_TITLES[goal] for goal in goals]
    drawn = optuna.visualization.plot_pareto_front(study, target_names=names)
    # Optuna's own names are of a table that is not shown beside it.
    for trace in drawn.data:
        trace.name = "on the front" if "Best" in (trace.name or trace.hovertemplate or "") else "behind it"
    return _written(drawn, trials)


def _accuracy_against_co2(sweep: Sweep, trials: Sequence[Trial]) -> str | None:
    known = [trial for trial in trials if trial.accuracy is not None and trial.co2_g is not None]
    if not known:
        return None
    values = [[trial.accuracy or 0.0, trial.co2_g or 0.0] for trial in known]
    return _front(_study_of(sweep, known, _ACCURACY_AND_CO2, values), _ACCURACY_AND_CO2, known)


def _written(figure: Any, trials: Sequence[Trial]) -> str:
    """Write a figure as JSON, with the sweep's own numbers for those of the study that was drawn."""
    drawn = json.loads(figure.to_json())
    if trials:
        for trace in drawn["data"]:
            _renumber(trace, trials)
    return json.dumps(drawn)


def _renumber(trace: dict[str, Any], trials: Sequence[Trial]) -> None:
    if trace.get("text"):
        # Of the front: what Optuna writes about each point begins with its number.
        places = [int(_NUMBER.search(text)[1]) for text in trace["text"]]  # type: ignore[index] # it is there
        trace["text"] = [_describe(trials[place]) for place in places]
    else:
        places = list(trace["x"])
        trace["x"] = [trials[place].number for place in places]
    trace["customdata"] = [trials[place].run_id for place in places]


def _describe(trial: Trial) -> str:
    params = (f"{name}: {_short(value)}" for name, value in trial.params.items())
    return "<br>".join([f"trial {trial.number}", *params])


def _short(value: ParamValue) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text[:60].replace("<", "&lt;")
