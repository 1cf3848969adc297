"""The training itself. Only a worker's training process imports this file."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from wattle_softmax import SoftmaxHyperParams

from errors import TrainingFailed
from schema import EpochResult, Epochs, TrainingContext

Floats = NDArray[np.float64]
TEST_IMAGES = 360


def train_softmax(hyper_params: SoftmaxHyperParams, context: TrainingContext) -> Epochs:
    """Yield a result after every epoch; end early when the worker asks for it."""
    chance = np.random.default_rng(hyper_params.seed)
    images, labels = _load()
    train, test = (images[TEST_IMAGES:], labels[TEST_IMAGES:]), (images[:TEST_IMAGES], labels[:TEST_IMAGES])
    context.control.log(f"{len(train[1])} training and {len(test[1])} test images")
    context.control.describe({"device": "cpu", "numpy": np.__version__})
    weights: Floats = np.zeros((images.shape[1], 10))
    step = 0
    for epoch in range(1, hyper_params.num_epochs + 1):
        start_s = time.monotonic()
        for batch in np.split(
            chance.permutation(len(train[1])),
            range(hyper_params.batch_size, len(train[1]), hyper_params.batch_size),
        ):
            weights -= hyper_params.learning_rate * _gradient(weights, train[0][batch], train[1][batch])
            step += 1
            if context.control.after_step(step) is not None:
                return None
        (train_loss, train_accuracy), (test_loss, test_accuracy) = (
            _score(weights, *split) for split in (train, test)
        )
        if not np.isfinite(train_loss):
            raise TrainingFailed(f"The loss is no longer a number in epoch {epoch}. Lower the learning rate.")
        yield EpochResult(
            epoch=epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            duration_s=time.monotonic() - start_s,
        )
    return None


def _load() -> tuple[Floats, NDArray[np.int64]]:
    """Return the digits in a fixed order of their own, with a constant pixel as bias."""
    digits: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = np.hstack([digits.data / 16, np.ones((len(digits.target), 1))])
    return images[order], digits.target[order]


def _probabilities(weights: Floats, images: Floats) -> Floats:
    logits = images @ weights
    odds: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


def _gradient(weights: Floats, images: Floats, labels: NDArray[np.int64]) -> Floats:
    errors = _probabilities(weights, images)
    errors[np.arange(len(labels)), labels] -= 1
    gradient: Floats = images.T @ errors / len(labels)
    return gradient


def _score(weights: Floats, images: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy."""
    probabilities = _probabilities(weights, images)
    of_label = probabilities[np.arange(len(labels)), labels]
    # A weight so large that a probability is 0 is still a number.
    loss = -np.log(np.maximum(of_label, 1e-300)).mean()
    return float(loss), float((probabilities.argmax(axis=1) == labels).mean())
