"""The trainer ``demo``: a simulation that takes seconds. It trains nothing and needs neither torch nor NumPy.

Same hyper_params, same figures. Curves and powers are made up to look plausible; nothing was measured.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from errors import TrainingFailed
from schema import EpochResult, Epochs, TrainingContext
from trainers.params import AnyCase, CnnHyperParams
from trainers.stopping import Progress

_LONGEST_S = 8.0
_STEP_S = 0.02


class DemoHyperParams(CnnHyperParams):
    """A simulated training: every field of the image classifier, and nothing is trained."""

    trainer: Annotated[Literal["demo"], AnyCase] = Field(  # type: ignore[assignment] # same fields, another trainer
        "demo", title="Trainer", description="invents plausible figures in seconds"
    )
    simulated: Literal[True] = Field(True, description="labels the run wherever it is stored or shown")


class _Network(NamedTuple):
    """How a network behaves here: its quality 0-1, epochs to learn 63 %, watts, and seconds of an epoch."""

    quality: float
    epochs: float
    power_w: float
    epoch_s: float


class _Dataset(NamedTuple):
    """The best accuracy anybody gets here, and that of guessing."""

    best: float
    guess: float


NETWORKS = {
    "small_cnn": _Network(0.4, 2.2, 45, 0.10),
    "lenet5": _Network(0.2, 2.6, 35, 0.08),
    "resnet9": _Network(0.8, 1.8, 120, 0.20),
    "resnet18": _Network(0.88, 2.6, 170, 0.24),
    "resnet34": _Network(0.91, 3.0, 195, 0.30),
    "resnet50": _Network(0.93, 3.6, 220, 0.36),
    "mobilenet_v3_small": _Network(0.55, 3.5, 70, 0.14),
    "mobilenet_v3_large": _Network(0.68, 3.8, 95, 0.18),
    "efficientnet_b0": _Network(0.85, 4.0, 140, 0.26),
    "vgg11_bn": _Network(0.78, 2.4, 160, 0.22),
    "densenet121": _Network(0.92, 3.4, 205, 0.40),
}
_DATASETS = {
    "digits": _Dataset(0.992, 0.1),
    "mnist": _Dataset(0.996, 0.1),
    "fashion_mnist": _Dataset(0.945, 0.1),
    "cifar10": _Dataset(0.95, 0.1),
    "cifar100": _Dataset(0.76, 0.01),
    "svhn": _Dataset(0.968, 0.1),
}
_OTHER_DATASET = _Dataset(0.9, 0.1)
# Per optimizer, the learning rate at which it does best; ten times more or less costs clearly.
_BEST_RATE = {"adam": 2e-3, "adamw": 2e-3, "rmsprop": 1e-3, "sgd": 5e-2}
# So many times the best learning rate, and the loss runs away.
_TOO_FAST = 100.0


def simulate(hyper_params: DemoHyperParams) -> Iterator[EpochResult]:
    """Yield the epochs of a simulated run, with the energy it would have used, as fast as they are taken.

    Raises TrainingFailed when the learning rate is far too high, as a real training would.
    """
    network = NETWORKS[hyper_params.network]
    dataset = _DATASETS.get(hyper_params.dataset, _OTHER_DATASET)
    chance = random.Random(_seed_of(hyper_params))  # noqa: S311 - figures, not secrets
    held_out = random.Random(f"validation {_seed_of(hyper_params)}")  # noqa: S311 - as above
    ratio = hyper_params.learning_rate / _BEST_RATE.get(hyper_params.optimizer, 2e-3)
    fitness = math.exp(-(math.log10(ratio) ** 2))
    best = dataset.best - (1 - dataset.best) * 1.5 * (1 - network.quality) - 0.25 * (1 - fitness)
    best += chance.gauss(0, 0.1 * (1 - dataset.best))
    epochs_to_learn = network.epochs / max(0.05, fitness)
    epoch_s = min(network.epoch_s, _LONGEST_S / hyper_params.num_epochs)
    for epoch in range(1, hyper_params.num_epochs + 1):
        if ratio > _TOO_FAST and epoch > 1:
            raise TrainingFailed(
                f"Simulated: the loss is no longer a number after epoch {epoch} with "
                f"{hyper_params.optimizer} at learning_rate {hyper_params.learning_rate:g}. "
                "Try a learning rate ten times smaller."
            )
        learnt = 1 - math.exp(-epoch / epochs_to_learn)
        reached = dataset.guess + (max(best, dataset.guess) - dataset.guess) * learnt
        result = _result(epoch, reached, dataset, network, epoch_s, chance)
        yield (
            _with_validation(result, reached, dataset, held_out)
            if hyper_params.validation_fraction
            else result
        )


def train_demo(hyper_params: DemoHyperParams, context: TrainingContext) -> Epochs:
    """Yield simulated epochs at the pace of a very small training: at most about 8 s in all."""
    context.control.log("simulated: nothing is trained, every figure is made up")
    context.control.describe({"device": "none, simulated", "energy_source": "none, simulated"})
    end_s, progress = time.monotonic(), Progress()
    for step, result in enumerate(simulate(hyper_params), start=1):
        end_s += result.duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            if context.control.after_step(step) is not None:
                return None
            time.sleep(min(left_s, _STEP_S))
        if context.control.after_step(step) is not None:
            return None
        yield result
        progress = progress.after(hyper_params, result.validation_loss, result.validation_accuracy)
        if progress.reason is not None:
            return progress.reason
    return None


def _seed_of(hyper_params: DemoHyperParams) -> str:
    """Return what a run's chance depends on, as a text: other hashes differ from process to process."""
    figures = hyper_params.model_dump(mode="json", exclude={"num_epochs"})
    return repr(sorted(figures.items()))


def _result(
    epoch: int, reached: float, dataset: _Dataset, network: _Network, epoch_s: float, chance: random.Random
) -> EpochResult:
    noise = chance.gauss(0, 0.15 * (1 - dataset.best))
    test_accuracy = _clip(reached + noise, dataset)
    train_accuracy = _clip(reached + 0.6 * (1 - dataset.best) * (1 - math.exp(-epoch / 8)), dataset)
    watts = network.power_w * chance.uniform(0.95, 1.05)
    return EpochResult(
        epoch=epoch,
        train_loss=_loss(train_accuracy),
        train_accuracy=train_accuracy,
        test_loss=_loss(test_accuracy) * 1.05,
        test_accuracy=test_accuracy,
        duration_s=epoch_s,
        energy_kwh=watts * epoch_s / 3.6e6,
        energy_quality="simulated",
    )


def _with_validation(
    result: EpochResult, reached: float, dataset: _Dataset, chance: random.Random
) -> EpochResult:
    accuracy = _clip(reached + chance.gauss(0, 0.15 * (1 - dataset.best)), dataset)
    held_out = {"validation_accuracy": accuracy, "validation_loss": _loss(accuracy) * 1.05}
    return result.model_copy(update=held_out)


def _clip(accuracy: float, dataset: _Dataset) -> float:
    """Keep an accuracy between guessing and nearly perfect, in whole images of ten thousand."""
    return round(min(max(accuracy, dataset.guess / 2), 0.9995), 4)


def _loss(accuracy: float) -> float:
    """Return a cross-entropy that goes with an accuracy: that of a well calibrated guess."""
    return round(-1.2 * math.log(accuracy), 6)
