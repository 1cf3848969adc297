"""What became of a trial: the values of its run, what it cost, and what pruning it saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schema import EpochResult, Run, Status
from schema.sweeps import Objective, Trial, TrialState

Values = tuple[float, ...]
Epochs = Sequence[EpochResult]

_MAX_REASON_CHARACTERS: Final = 500
_WORDS: Final = {
    Objective.CO2_G: "CO₂",
    Objective.ENERGY_KWH: "energy",
    Objective.DURATION_S: "duration",
    Objective.VALIDATION_ACCURACY: "validation accuracy",
    Objective.VALIDATION_LOSS: "validation loss",
    Objective.TEST_ACCURACY: "test accuracy",
    Objective.TEST_LOSS: "test loss",
}


def value_of_epoch(goal: Objective, epoch: EpochResult) -> float | None:
    """Return what an epoch achieved of what a sweep is about; None where it has no such figure."""
    value: float | None = getattr(epoch, goal.value)
    return value


def value_of_run(goal: Objective, run: Run, epochs: Epochs) -> float | None:
    """Return what a run achieved: the best of its epochs, or what it cost; None when that is not known."""
    if not goal.is_of_epochs:
        cost: float | None = getattr(run, goal.value)
        return cost
    found = [value for epoch in epochs if (value := value_of_epoch(goal, epoch)) is not None]
    if not found:
        return None
    return max(found) if goal.is_maximised else min(found)


def live_trial(trial: Trial, run: Run, epochs: Epochs) -> Trial:
    """Return a trial with what its run achieved and used so far."""
    accuracies = [
        epoch.test_accuracy if epoch.validation_accuracy is None else epoch.validation_accuracy
        for epoch in epochs
    ]
    return trial.model_copy(
        update={
            "epochs_done": run.epochs_done,
            "accuracy": max(accuracies, default=run.best_accuracy),
            "energy_kwh": _known(run.energy_kwh, [epoch.energy_kwh for epoch in epochs]),
            "co2_g": _known(run.co2_g, [epoch.co2_g for epoch in epochs]),
            "duration_s": run.duration_s,
        }
    )


def end_of_trial(
    trial: Trial, run: Run, epochs: Epochs, goals: Sequence[Objective], pruned: str | None
) -> Trial:
    """Return a trial whose run has ended. One of which a value is not known has failed.

    pruned: why the sweep ended it early; None where it did not.
    """
    live = live_trial(trial, run, epochs)
    if run.status is Status.DONE:
        return _valued(live, [(goal, value_of_run(goal, run, epochs)) for goal in goals])
    if run.status is Status.CANCELLED and pruned is not None:
        return live.model_copy(update={"state": TrialState.PRUNED, "reason": pruned, **_saved(live, run)})
    reason = run.error.message if run.status is Status.FAILED and run.error else run.status_reason
    return failed(live, reason or f"its run is {run.status.value}")


def failed(trial: Trial, reason: str) -> Trial:
    """Return a trial that has failed."""
    return trial.model_copy(update={"state": TrialState.FAILED, "reason": reason[:_MAX_REASON_CHARACTERS]})


def _valued(trial: Trial, values: Sequence[tuple[Objective, float | None]]) -> Trial:
    missing = [_WORDS[goal] for goal, value in values if value is None]
    if missing:
        return failed(trial, f"its {' and '.join(missing)} is not known, so it cannot be compared")
    known: Values = tuple(value for _, value in values if value is not None)
    return trial.model_copy(update={"state": TrialState.COMPLETE, "values": known})


def _known(total: float | None, parts: Sequence[float | None]) -> float | None:
    """Return a sum, or where a part of it is not known that of the others; None where none is."""
    if total is not None:
        return total
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _saved(trial: Trial, run: Run) -> dict[str, float | None]:
    """Estimate what the epochs that were left out would have used: as much as those before, each."""
    if not trial.epochs_done or run.num_epochs is None:
        return {}
    share = max(0, run.num_epochs - trial.epochs_done) / trial.epochs_done
    return {
        f"saved_{name}": None if used is None else used * share
        for name, used in (("co2_g", trial.co2_g), ("energy_kwh", trial.energy_kwh))
    }
