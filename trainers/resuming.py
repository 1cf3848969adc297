"""When a training's state is saved, and what it goes on from."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

import torch

from schema import Checkpoint, CheckpointStore, Control, EpochResult, Scalar, TrainingContext
from trainers.datasets import Dataset
from trainers.models import Kept, ModelWriter, take_snapshot
from trainers.params import AUTO, CnnHyperParams
from trainers.stopping import Progress
from trainers.training import State, Training

# Saving takes at most this share of the time, however short the epochs are; see docs/decisions.
MAX_SHARE = 0.05


class Moment(Enum):
    """Where in the loop something may be saved."""

    STEP = auto()
    EPOCH = auto()
    STOP = auto()
    END = auto()
    """The training is over, at the end of its last epoch or because it was asked to finish."""


class Keep(Protocol):
    """What the loop calls where something may be saved."""

    def __call__(self, training: Training, moment: Moment, result: EpochResult | None = None) -> None:
        """Save what is due; ``result`` comes with the end of an epoch."""


def keep_nothing(training: Training, moment: Moment, result: EpochResult | None = None) -> None:
    """Save nothing: for a training that nobody resumes."""


class Keeper:
    """Saves a run's state: after each epoch, every ``every_s`` within one, and when it has to stop.

    The best weights so far are a part of it, so that they belong to the same training as the rest. At the
    end they and the last ones become models.
    """

    def __init__(
        self,
        checkpoints: CheckpointStore,
        *,
        every_s: float,
        control: Control,
        models: ModelWriter | None = None,
        kept: Kept | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checkpoints = checkpoints
        self._every_s = every_s
        self._control = control
        self._models = models
        self._kept = kept or Kept()
        self._clock = clock
        self._saved_s, self._cost_s = clock(), 0.0
        self._saved_step: int | None = None

    def __call__(self, training: Training, moment: Moment, result: EpochResult | None = None) -> None:
        """Save where it is due. A disk that fails costs the checkpoint or the models, not the run."""
        if result is not None:
            # Of a team rank 0 alone has a place. What is not kept up to date would be wrong in a checkpoint.
            has_place = self._models is not None and self._models.has_place
            self._kept = self._kept.after(take_snapshot(training, result)) if has_place else Kept()
        if self._is_due(training, moment):
            self._save(training)
        if moment is Moment.END:
            self._write_models(training)

    def _is_due(self, training: Training, moment: Moment) -> bool:
        elapsed_s = self._clock() - self._saved_s
        is_last = training.progress.reason is not None or training.epoch > training.hyper_params.num_epochs
        if moment is Moment.STEP:
            return elapsed_s >= self._every_s
        if moment is Moment.END:
            return training.step != self._saved_step
        return moment is Moment.STOP or is_last or elapsed_s * MAX_SHARE >= self._cost_s

    def _save(self, training: Training) -> None:
        start_s = self._clock()
        tree = {
            "state": to_tree(training.capture()),
            "made_with": made_with(training),
            "models": self._kept.to_tree(is_epoch_start=training.batch == 0),
        }
        try:
            self._checkpoints.save(Checkpoint(training.step, tree))
        except OSError as error:
            self._control.log(
                f"The checkpoint of step {training.step} could not be saved: {error}. The run goes on; "
                "should its worker die, it resumes from the checkpoint before."
            )
        self._saved_s, self._saved_step = self._clock(), training.step
        self._cost_s = self._saved_s - start_s

    def _write_models(self, training: Training) -> None:
        if self._models is None:
            return
        try:
            self._models.write(training, self._kept)
        except OSError as error:
            self._control.log(
                f"The models could not be saved: {error}. The run is done without them; its checkpoint stays."
            )


def make_keeper(
    context: TrainingContext, dataset: Dataset, clock: Callable[[], float] = time.monotonic
) -> Keep:
    """Return what saves the checkpoints and models of a run; nothing where there is no place for them.

    A run that starts anew deletes the models of an attempt before. Every rank of a team has a Keeper and
    takes part in each save, so their clock is to be the team's.
    """
    if context.checkpoints is None:
        return keep_nothing
    newest = context.checkpoints.find_newest()
    kept = Kept()
    if newest is not None:
        kept = Kept.from_tree(newest.state["models"], newest.state["state"]["network"])
    elif context.models is not None:
        try:
            context.models.clear()
        except OSError as error:
            context.control.log(f"The models of an earlier attempt could not be deleted: {error}.")
    return Keeper(
        context.checkpoints,
        every_s=context.checkpoint_every_s,
        control=context.control,
        models=ModelWriter(context, dataset),
        kept=kept,
        clock=clock,
    )


def resume(context: TrainingContext, hyper_params: CnnHyperParams) -> State | None:
    """Return the state to go on from, or None; sets the threads it was computed with, which change its bits.

    Describes the run as resumed exactly or not: another torch or kind of device computes other bits.
    """
    newest = context.checkpoints.find_newest() if context.checkpoints else None
    if newest is None:
        return None
    made: dict[str, Scalar] = newest.state["made_with"]
    torch.set_num_threads(int(made["threads"] or 1))
    here = _circumstances(context.device, hyper_params.gpus)
    changed = [name for name, value in here.items() if made.get(name) != value]
    changed += ["hyper_params"] * (made.get("hyper_params") != hyper_params.model_dump_json())
    context.control.describe({"resume": f"inexact: other {', '.join(changed)}" if changed else "exact"})
    state = from_tree(newest.state["state"])
    context.control.log(f"resumes in epoch {state.epoch} after {state.step} steps")
    return state


def recall_batch_size(context: TrainingContext, hyper_params: CnnHyperParams) -> CnnHyperParams:
    """Return hyper_params with the batch size and learning rate of the first attempt, if it chose them."""
    newest = context.checkpoints.find_newest() if context.checkpoints else None
    if newest is None or hyper_params.batch_size != AUTO:
        return hyper_params
    first = CnnHyperParams.model_validate_json(newest.state["made_with"]["hyper_params"])
    chosen = {"batch_size": first.batch_size, "learning_rate": first.learning_rate}
    return hyper_params.model_copy(update=chosen)


def made_with(training: Training) -> dict[str, Scalar]:
    """Return what the bits of a training depend on, besides its state."""
    hyper_params = training.hyper_params.model_dump_json()
    return {**_circumstances(training.device.type, training.team.size), "hyper_params": hyper_params}


def _circumstances(device: str, gpus: int) -> dict[str, Scalar]:
    return {
        "torch": torch.__version__,
        "device": device.split(":")[0],
        "gpus": gpus,
        "threads": torch.get_num_threads(),
        "memory_format": "channels_last",
    }


def to_tree(state: State) -> dict[str, object]:
    """Return the state as plain containers."""
    tree = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return {**tree, "progress": dataclasses.asdict(state.progress)}


def from_tree(tree: dict[str, object]) -> State:
    """Return the state that ``to_tree`` took apart. Raises TypeError when a part is missing."""
    return State(**{**tree, "progress": Progress(**tree["progress"])})  # type: ignore[arg-type] # as to_tree made it
