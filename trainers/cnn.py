"""The trainer ``cnn``: an image classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from errors import TrainingFailed
from schema import Epochs, TrainingContext
from trainers.data import Data, load_data
from trainers.datasets import DATASETS, Dataset
from trainers.device import prepare_device
from trainers.loop import train
from trainers.networks import build_network, count_flops, count_parameters
from trainers.params import CnnHyperParams
from trainers.precision import resolve_precision
from trainers.resuming import make_keeper, resume


def train_cnn(
    hyper_params: CnnHyperParams, context: TrainingContext, *, datasets: Mapping[str, Dataset] = DATASETS
) -> Epochs:
    """Train a fresh network, yielding after each epoch; return why it ended before the last one, or None.

    Raises DatasetUnavailable when files are missing, TrainingFailed when a loss is not finite, memory runs
    out, or the device lacks what the hyper_params ask for.
    """
    prepare_device(
        context.device,
        is_deterministic=hyper_params.deterministic,
        is_compiled=hyper_params.compile != "off",
    )
    try:
        data = load_data(
            datasets[hyper_params.dataset],
            context.datasets_dir,
            hyper_params,
            device=context.device,
            say=context.control.log,
        )
        network = build_network(
            hyper_params.network,
            channels=data.channels,
            side=data.side,
            classes=data.classes,
            seed=hyper_params.seed,
            dropout=hyper_params.dropout,
        )
        network.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload] # not in the stub
        state = resume(context, hyper_params)
        _describe(hyper_params, data, network, context)
        keep = make_keeper(context, datasets[hyper_params.dataset])
        return (
            yield from train(network, data, hyper_params, control=context.control, resume=state, keep=keep)
        )
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(hyper_params, error) from error


def _out_of_memory(hyper_params: CnnHyperParams, error: torch.OutOfMemoryError) -> TrainingFailed:
    # torch's first sentences say how much was wanted and how much there is; the rest is about its settings.
    sizes = ". ".join(str(error).split(". ")[:3])
    size, smaller = hyper_params.batch_size, max(2, hyper_params.batch_size // 2)
    return TrainingFailed(
        f"The GPU's memory is too small for {hyper_params.network} with batch_size {size}: {sizes}. "
        f"Try batch_size {smaller} or a smaller network."
    )


def _describe(hyper_params: CnnHyperParams, data: Data, network: nn.Module, context: TrainingContext) -> None:
    train_images, test_images = len(data.train), len(data.test)
    validation_images = 0 if data.validation is None else len(data.validation)
    context.control.log(
        f"{hyper_params.dataset}: {train_images:,} training, {validation_images:,} validation and "
        f"{test_images:,} test images of {data.side} x {data.side} x {data.channels}"
    )
    context.control.describe(
        {
            "device": context.device,
            "precision": resolve_precision(hyper_params.precision, torch.device(context.device)),
            "memory_format": "channels_last",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "parameters": count_parameters(network),
            "flops_per_image": count_flops(network, channels=data.channels, side=data.side),
            "data_on": data.place,
            "train_images": train_images,
            "validation_images": validation_images,
            "test_images": test_images,
        }
    )
