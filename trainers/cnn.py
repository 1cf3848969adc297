"""The trainer ``cnn``: an image classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from schema import Epochs, TrainingContext
from trainers.data import Data, load_data
from trainers.datasets import DATASETS, Dataset
from trainers.loop import train
from trainers.networks import build_network, count_parameters
from trainers.params import CnnHyperParams
from trainers.precision import resolve_precision
from trainers.resuming import Keep, Keeper, keep_nothing, resume


def train_cnn(
    hyper_params: CnnHyperParams, context: TrainingContext, *, datasets: Mapping[str, Dataset] = DATASETS
) -> Epochs:
    """Train a fresh network, yielding after each epoch; return why it ended before the last one, or None.

    Raises DatasetUnavailable when files are missing, TrainingFailed when a loss is not finite.
    """
    dataset = datasets[hyper_params.dataset]
    data = load_data(
        dataset,
        context.datasets_dir,
        device=context.device,
        validation_fraction=hyper_params.validation_fraction,
        say=context.control.log,
    )
    network = build_network(
        hyper_params.network,
        channels=dataset.channels,
        side=dataset.side,
        classes=dataset.classes,
        seed=hyper_params.seed,
    )
    network.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload] # not in the stub
    state = resume(context, hyper_params)
    _describe(hyper_params, dataset, data, network, context)
    keep: Keep = keep_nothing
    if context.checkpoints is not None:
        keep = Keeper(context.checkpoints, every_s=context.checkpoint_every_s, control=context.control)
    return (yield from train(network, data, hyper_params, control=context.control, resume=state, keep=keep))


def _describe(
    hyper_params: CnnHyperParams, dataset: Dataset, data: Data, network: nn.Module, context: TrainingContext
) -> None:
    train_images, test_images = len(data.train), len(data.test)
    validation_images = 0 if data.validation is None else len(data.validation)
    context.control.log(
        f"{dataset.name}: {train_images:,} training, {validation_images:,} validation and {test_images:,} "
        f"test images of {dataset.side} x {dataset.side} x {dataset.channels}"
    )
    context.control.describe(
        {
            "device": context.device,
            "precision": resolve_precision(hyper_params.precision, torch.device(context.device)),
            "memory_format": "channels_last",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "parameters": count_parameters(network),
            "train_images": train_images,
            "validation_images": validation_images,
            "test_images": test_images,
        }
    )
