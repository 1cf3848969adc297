"""Trainers for tests, registered as any third party's would be: put this folder on PYTHONPATH."""

from __future__ import annotations

import os
import signal
import time
from typing import Literal

from pydantic import Field

from schema import Checkpoint, EpochResult, Epochs, TrainingContext
from trainers import TrainerSpec
from trainers.params import HyperParams

LINES = 5_000


class SleepyHyperParams(HyperParams):
    """A training that only takes time; its figures tell the epoch and the seed.

    hold_after: after so many epochs it waits as long as there is a file ``hold``; 0 for never.
    """

    trainer: Literal["sleepy"] = "sleepy"
    step_s: float = 0.01
    epoch_s: float = Field(0.05, ge=0, le=60)
    evaluation_s: float = 0.0
    hold_after: int = 0


class RaisingHyperParams(SleepyHyperParams):
    """Raises in its second epoch."""

    trainer: Literal["raising"] = "raising"  # type: ignore[assignment] # another name is the whole point


class DyingHyperParams(SleepyHyperParams):
    """Is killed in its second epoch, as by a system out of memory."""

    trainer: Literal["dying"] = "dying"  # type: ignore[assignment] # as above


class LyingHyperParams(SleepyHyperParams):
    """Yields a percentage for an accuracy, past pydantic's checks."""

    trainer: Literal["lying"] = "lying"  # type: ignore[assignment] # as above


class StubbornHyperParams(SleepyHyperParams):
    """Never looks at its requests."""

    trainer: Literal["stubborn"] = "stubborn"  # type: ignore[assignment] # as above


class SavingHyperParams(SleepyHyperParams):
    """Saves a checkpoint after each epoch, and does not end as long as there is a file ``hold``."""

    trainer: Literal["saving"] = "saving"  # type: ignore[assignment] # as above


class HangingHyperParams(SleepyHyperParams):
    """Hangs in the second epoch of its first attempt, which leaves a file behind."""

    trainer: Literal["hanging"] = "hanging"  # type: ignore[assignment] # as above


class ChattyHyperParams(SleepyHyperParams):
    """Says LINES lines once there is a file ``speak``, as fast as it can, and writes how long it took."""

    trainer: Literal["chatty"] = "chatty"  # type: ignore[assignment] # as above


def result_of(hyper_params: SleepyHyperParams, epoch: int) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        train_loss=1 / epoch,
        train_accuracy=1 - 1 / (1 + epoch),
        test_loss=1 / epoch + hyper_params.seed,
        test_accuracy=1 - 1 / (1 + epoch),
        duration_s=hyper_params.epoch_s,
    )


def train_sleepy(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    hold = context.datasets_dir.parent / "hold"
    for epoch in range(1, hyper_params.num_epochs + 1):
        end_s = time.monotonic() + hyper_params.epoch_s
        while time.monotonic() < end_s or (epoch == hyper_params.hold_after + 1 > 1 and hold.exists()):
            time.sleep(min(0.01, hyper_params.epoch_s))
            if context.control.after_step(epoch):
                return None
        yield result_of(hyper_params, epoch)
    return None


def train_raising(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    yield result_of(hyper_params, 1)
    context.control.log("about to fail")
    raise ValueError("the second epoch went wrong")


def train_lying(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    yield result_of(hyper_params, 1).model_copy(update={"test_accuracy": 98.6})
    return None


def train_dying(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    yield result_of(hyper_params, 1)
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def train_stubborn(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    for epoch in range(1, hyper_params.num_epochs + 1):
        time.sleep(hyper_params.epoch_s)
        yield result_of(hyper_params, epoch)
    return None


def train_saving(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    checkpoints = context.checkpoints
    assert checkpoints is not None
    newest = checkpoints.find_newest()
    first, step = (newest.state["next"], newest.step) if newest else (1, 0)
    for epoch in range(first, hyper_params.num_epochs + 1):
        end_s = time.monotonic() + hyper_params.epoch_s
        while time.monotonic() < end_s:
            time.sleep(hyper_params.step_s)
            step += 1
            if context.control.after_step(step):
                checkpoints.save(Checkpoint(step, {"next": epoch}))
                return None
        if hyper_params.evaluation_s:
            context.control.log(f"evaluates epoch {epoch}")
            time.sleep(hyper_params.evaluation_s)
        yield result_of(hyper_params, epoch)
        checkpoints.save(Checkpoint(step, {"next": epoch + 1}))
    while (context.datasets_dir.parent / "hold").exists():
        time.sleep(0.01)
    return None


def train_chatty(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    folder = context.datasets_dir.parent
    yield result_of(hyper_params, 1)
    while not (folder / "speak").exists():
        time.sleep(0.01)
    began_s = time.monotonic()
    for number in range(LINES):
        context.control.log(f"line {number}")
    (folder / "has-spoken").write_text(str(time.monotonic() - began_s))
    for epoch in range(2, hyper_params.num_epochs + 1):
        yield result_of(hyper_params, epoch)
    return None


def train_hanging(hyper_params: SleepyHyperParams, context: TrainingContext) -> Epochs:
    yield result_of(hyper_params, 1)
    mark = context.datasets_dir.parent / "has-hung"
    if not mark.exists():
        mark.touch()
        context.control.after_step(7)
        hang_here()
    for epoch in range(2, hyper_params.num_epochs + 1):
        yield result_of(hyper_params, epoch)
    return None


def hang_here() -> None:
    while True:
        time.sleep(60)


def spec(name: str, hyper_params: type[HyperParams]) -> TrainerSpec:
    return TrainerSpec(
        name=name,
        title=name.capitalize(),
        summary=f"For tests: {name}.",
        hyper_params=hyper_params,
        entry=f"wattle_test_trainers:train_{name}",
    )


SLEEPY = spec("sleepy", SleepyHyperParams)
RAISING = spec("raising", RaisingHyperParams)
LYING = spec("lying", LyingHyperParams)
DYING = spec("dying", DyingHyperParams)
STUBBORN = spec("stubborn", StubbornHyperParams)
SAVING = spec("saving", SavingHyperParams)
HANGING = spec("hanging", HangingHyperParams)
CHATTY = spec("chatty", ChattyHyperParams)
