"""The training loop. There is no other."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from errors import TrainingFailed
from schema import Control, EpochResult
from trainers.data import Data, Split
from trainers.optimizers import build_optimizer
from trainers.params import CnnHyperParams

# Large enough to keep a GPU busy, small enough for the activations of one batch to stay below 1 GB.
_EVALUATION_BATCH = 2_000


def train(
    network: nn.Module, data: Data, hyper_params: CnnHyperParams, *, control: Control
) -> Iterator[EpochResult]:
    """Train ``network`` in place, yielding after each epoch; ends early when ``control`` asks for it.

    The network is on the data's device, channels last. Losses in nats per image; those of the training split
    are means over the epoch, while the weights changed. Raises TrainingFailed when a loss is not finite.
    """
    device = data.train.labels.device
    optimizer = build_optimizer(network, hyper_params)
    shuffle = torch.Generator().manual_seed(hyper_params.seed)
    step = 0
    for epoch in range(1, hyper_params.num_epochs + 1):
        start_s, first_step = time.monotonic(), step + 1
        totals = torch.zeros(2, dtype=torch.float64, device=device)
        order = torch.randperm(len(data.train), generator=shuffle).to(device)
        network.train()
        for batch in _cut(order, hyper_params.batch_size):
            images, labels = data.train.images[batch], data.train.labels[batch]
            with _precision(device):
                logits = network(data.normalise(images))
                loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals += _tally(loss, logits, labels)
            step += 1
            if control.after_step(step) is not None:
                return
        scores = [totals / len(data.train), evaluate(network, data, data.test)]
        if data.validation is not None:
            scores.append(evaluate(network, data, data.validation))
        # The one sync point of an epoch.
        figures = torch.stack(scores).tolist()
        if not all(math.isfinite(loss) for loss, _ in figures):
            raise _diverged(epoch, first_step, step, hyper_params)
        yield _to_result(epoch, figures, time.monotonic() - start_s)


@torch.inference_mode()
def evaluate(network: nn.Module, data: Data, split: Split) -> Tensor:
    """Return mean loss and accuracy on ``split`` as one tensor on its device: reading it is a sync point."""
    device = split.labels.device
    network.eval()
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    for images, labels in zip(
        split.images.split(_EVALUATION_BATCH), split.labels.split(_EVALUATION_BATCH), strict=True
    ):
        with _precision(device):
            logits = network(data.normalise(images))
            totals += _tally(cross_entropy(logits, labels), logits, labels)
    return totals / len(split)


def precision_name(device: torch.device) -> str:
    """Return the precision of the arithmetic; weights are fp32 in any case."""
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def _precision(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision_name(device) == "bf16")


def _cut(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut an epoch's order into batches. A rest of one image joins the batch before: BatchNorm needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _tally(loss: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the batch's losses and its number of right answers, without a sync."""
    correct = (logits.detach().argmax(dim=1) == labels).sum()
    return torch.stack([loss.detach().double() * len(labels), correct.double()])


def _to_result(epoch: int, figures: list[list[float]], duration_s: float) -> EpochResult:
    (train_loss, train_accuracy), (test_loss, test_accuracy), *held_out = figures
    validation_loss, validation_accuracy = held_out[0] if held_out else (None, None)
    return EpochResult(
        epoch=epoch,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        duration_s=duration_s,
    )


def _diverged(epoch: int, first_step: int, last_step: int, hyper_params: CnnHyperParams) -> TrainingFailed:
    return TrainingFailed(
        f"The loss is no longer a number after epoch {epoch} (steps {first_step} to {last_step}) with "
        f"{hyper_params.optimizer} at learning_rate {hyper_params.learning_rate:g}. "
        "Try a learning rate ten times smaller."
    )
