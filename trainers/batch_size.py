"""Batch size "auto": which sizes are tried, which is taken, and the learning rate with it. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from trainers.params import CnnHyperParams

SMALLEST, LARGEST = 32, 4_096
# Fewer steps than this in an epoch, and a larger batch saves energy by learning less.
LEAST_STEPS_PER_EPOCH = 8
# Differences below this are not told apart in a second of a meter that moves every 0.1 s.
EQUAL_PART = 0.05
# The learning rate a person writes is that for the default batch size, beside which it was chosen.
REFERENCE: Final = 64
# Of SGD: above it the rule is the square root as well.
LINEAR_UP_TO = 512

Yardstick = Literal["J", "s"]


@dataclass(frozen=True)
class Trial:
    """What some steps with a batch size took; ``joules`` is None where no meter could tell."""

    batch_size: int
    images: int
    seconds: float
    joules: float | None

    @property
    def s_per_image(self) -> float:
        """Seconds per image."""
        return self.seconds / self.images

    @property
    def j_per_image(self) -> float | None:
        """Joules per image."""
        return None if self.joules is None else self.joules / self.images


def list_candidates(train_images: int) -> list[int]:
    """List the batch sizes to try, smallest first: powers of two that leave an epoch 8 steps."""
    sizes = [SMALLEST << shift for shift in range((LARGEST // SMALLEST).bit_length())]
    return [size for size in sizes if size * LEAST_STEPS_PER_EPOCH <= train_images] or [SMALLEST]


def choose_yardstick(trials: Sequence[Trial]) -> Yardstick:
    """Return what the trials are compared by: joules where all of them have some, else seconds."""
    return "J" if all(trial.joules for trial in trials) else "s"


def choose(trials: Sequence[Trial]) -> Trial:
    """Return the trial with the fewest joules per image, or seconds where a trial has no joules.

    Those within 5 % of the fewest count as equal: of them the smallest wins, which takes more steps.
    """
    is_metered = choose_yardstick(trials) == "J"
    costs = {trial: (is_metered and trial.j_per_image) or trial.s_per_image for trial in trials}
    fewest = min(costs.values())
    equal = [trial for trial, cost in costs.items() if cost <= fewest * (1 + EQUAL_PART)]
    return min(equal, key=lambda trial: trial.batch_size)


def scale(hyper_params: CnnHyperParams, batch_size: int) -> CnnHyperParams:
    """Return hyper_params with that batch size, and the learning rate that goes with it.

    sgd: in proportion up to 512 images, beyond that with the square root. Source: Goyal et al., "Accurate,
    Large Minibatch SGD", arXiv 1706.02677. Others: with the square root. Source: Malladi et al., "On the SDEs
    and Scaling Rules for Adaptive Gradient Algorithms", arXiv 2205.10287. Never above the field's bound.
    """
    if hyper_params.optimizer == "sgd":
        line = min(batch_size, LINEAR_UP_TO)
        factor = line / REFERENCE * (batch_size / line) ** 0.5
    else:
        factor = (batch_size / REFERENCE) ** 0.5
    rate = min(hyper_params.learning_rate * factor, 10.0)
    return hyper_params.model_copy(update={"batch_size": batch_size, "learning_rate": rate})


def describe(trials: Sequence[Trial]) -> str:
    """Write the table of a trial in a line: per size the milliseconds and millijoules of an image."""
    return "; ".join(describe_one(trial) for trial in trials)


def describe_one(trial: Trial) -> str:
    """Write a line of the table."""
    joules = trial.j_per_image
    energy = "energy unknown" if joules is None else f"{1000 * joules:.4g} mJ"
    return f"{trial.batch_size}: {1000 * trial.s_per_image:.4g} ms, {energy}"
