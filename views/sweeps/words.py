"""How a sweep reads: its state, what it is about, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from schema.sweeps import Objective, Sweep, SweepState, Trial, TrialState
from views import format as fmt
from views.look import PillColor

STATE_COLORS: Final[dict[SweepState, PillColor]] = {
    SweepState.RUNNING: "blue",
    SweepState.PAUSED: "orange",
    SweepState.STOPPING: "orange",
    SweepState.DONE: "green",
    SweepState.STOPPED: "gray",
    SweepState.FAILED: "red",
}
STATE_ICONS: Final[dict[SweepState, str]] = {
    SweepState.RUNNING: ":material/play_circle:",
    SweepState.PAUSED: ":material/pause_circle:",
    SweepState.STOPPING: ":material/pending:",
    SweepState.DONE: ":material/check_circle:",
    SweepState.STOPPED: ":material/cancel:",
    SweepState.FAILED: ":material/error:",
}
OBJECTIVE_NAMES: Final = {
    Objective.VALIDATION_ACCURACY: "validation accuracy",
    Objective.VALIDATION_LOSS: "validation loss",
    Objective.TEST_ACCURACY: "test accuracy",
    Objective.TEST_LOSS: "test loss",
    Objective.CO2_G: "CO₂",
    Objective.ENERGY_KWH: "energy",
    Objective.DURATION_S: "duration",
}
SAMPLER_NAMES: Final = {
    "tpe": "TPE, learns from the trials before",
    "nsga2": "NSGA-II, accuracy against CO₂",
    "random": "Random",
    "grid": "Grid, every combination",
}
PRUNER_NAMES: Final = {
    "none": "None",
    "median": "Median of the others",
    "successive_halving": "Successive halving",
}


class Used(NamedTuple):
    """How much of a limit is used."""

    text: str
    share: float


def value_text(goal: Objective, value: float) -> str:
    """Write what a trial achieved, with its unit."""
    if goal.is_maximised:
        return fmt.percent(value)
    if goal is Objective.CO2_G:
        return fmt.co2(value)
    if goal is Objective.ENERGY_KWH:
        return fmt.energy(value)
    return fmt.duration(value) if goal is Objective.DURATION_S else fmt.loss(value)


def values_text(sweep: Sweep, trial: Trial) -> str:
    """Write all that a trial achieved of what its sweep is about; a dash before it has."""
    if trial.values is None:
        return fmt.MISSING
    pairs = zip(sweep.request.goals, trial.values, strict=False)
    return " · ".join(value_text(goal, value) for goal, value in pairs)


def about(sweep: Sweep) -> str:
    """Say in one line what is searched, and how."""
    goals = " against ".join(OBJECTIVE_NAMES[goal] for goal in sweep.request.goals)
    space = ", ".join(sweep.request.space)
    text = f"{goals} over {space} · {SAMPLER_NAMES[sweep.request.sampler.value].split(',')[0]}"
    if sweep.request.pruner.value != "none":
        text += f" · pruned by {PRUNER_NAMES[sweep.request.pruner.value].lower()}"
    return text


def trials_text(sweep: Sweep) -> str:
    """Say how many trials there are, of how many, and what became of them."""
    counts = sweep.summary.counts
    others = [
        f"{counts[state]} {state.value}"
        for state in (TrialState.RUNNING, TrialState.PRUNED, TrialState.FAILED)
        if counts.get(state)
    ]
    complete = counts.get(TrialState.COMPLETE, 0)
    return ", ".join([f"{complete} {'trial' if complete == 1 else 'trials'} complete", *others])


def limits_used(sweep: Sweep, hours: float) -> Sequence[Used]:
    """Return how much of each limit is used; ``hours`` since the sweep was started."""
    limits, used = sweep.request.limits, sweep.summary
    found = [Used(f"{used.trials} of {limits.trials} trials", used.trials / limits.trials)]
    if limits.co2_g is not None:
        found.append(Used(f"{fmt.co2(used.co2_g)} of {fmt.co2(limits.co2_g)}", used.co2_g / limits.co2_g))
    if limits.energy_wh is not None:
        most = limits.energy_wh / 1000
        found.append(Used(f"{fmt.energy(used.energy_kwh)} of {fmt.energy(most)}", used.energy_kwh / most))
    if limits.hours is not None:
        shown = f"{fmt.duration(3600 * hours)} of {fmt.duration(3600 * limits.hours)}"
        found.append(Used(shown, hours / limits.hours))
    return found


def params_text(trial: Trial) -> str:
    """Write the hyperparameters of a trial in one line."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
