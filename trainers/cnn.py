"""The trainer ``cnn``: an image classifier."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from errors import TrainingFailed
from schema import Epochs, Scalar, TrainingContext
from trainers.batch_trial import fix_batch_size
from trainers.data import Data, load_data
from trainers.datasets import DATASETS, Dataset
from trainers.device import prepare_device
from trainers.distributed import backend_of
from trainers.loop import train
from trainers.networks import build_network, count_flops, count_parameters
from trainers.params import AUTO, CnnHyperParams
from trainers.precision import resolve_precision
from trainers.ranks import train_on_ranks
from trainers.resuming import Moment, make_keeper, recall_batch_size, resume
from trainers.team import ALONE, Team
from trainers.training import Training


def train_cnn(
    hyper_params: CnnHyperParams,
    context: TrainingContext,
    *,
    datasets: Mapping[str, Dataset] = DATASETS,
    step_limit_bytes: int | None = None,
    team: Team = ALONE,
) -> Epochs:
    """Train a fresh network, yielding after each epoch; return why it ended before the last one, or None.

    With several ``gpus`` it starts processes that each call it again, as one of a ``team``; those read the
    datasets of Wattle's own table. step_limit_bytes: see ``fix_batch_size``. Raises DatasetUnavailable when
    files are missing, TrainingFailed when a loss is not finite, memory runs out, a process dies, or the
    device lacks what the hyper_params ask for.
    """
    if hyper_params.gpus > team.size:
        return (yield from train_on_ranks(hyper_params, context))
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
        dataset = datasets[hyper_params.dataset]
        return (yield from _train(hyper_params, data, dataset, context, team, step_limit_bytes))
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(hyper_params, error) from error


def _train(
    hyper_params: CnnHyperParams,
    data: Data,
    dataset: Dataset,
    context: TrainingContext,
    team: Team,
    limit_bytes: int | None,
) -> Epochs:
    network = _build(hyper_params, data)
    hyper_params = recall_batch_size(context, hyper_params)
    state = resume(context, hyper_params)
    # A run goes on in the precision that it began in.
    wanted = hyper_params.precision if state is None else state.precision
    _describe(hyper_params, data, network, context, resolve_precision(wanted, data.device))
    keep = make_keeper(context, dataset, team.clock)
    if hyper_params.batch_size == AUTO:
        chosen = fix_batch_size(network, data, hyper_params, context, limit_bytes=limit_bytes)
        if chosen is None:
            return None
        hyper_params = chosen
        # Who dies in the first epoch has chosen for those after it.
        keep(Training(network, data, hyper_params), Moment.STOP)
    return (
        yield from train(
            network,
            data,
            hyper_params,
            control=context.control,
            resume=state,
            keep=keep,
            charge=context.charge,
            audience=context.audience,
            team=team,
        )
    )


def _build(hyper_params: CnnHyperParams, data: Data) -> nn.Module:
    network = build_network(
        hyper_params.network,
        channels=data.channels,
        side=data.side,
        classes=data.classes,
        seed=hyper_params.seed,
        dropout=hyper_params.dropout,
    )
    return network.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return] # not in the stub


def _out_of_memory(hyper_params: CnnHyperParams, error: torch.OutOfMemoryError) -> TrainingFailed:
    # torch's first sentences say how much was wanted and how much there is; the rest is about its settings.
    sizes = ". ".join(str(error).split(". ")[:3])
    size = 2 if hyper_params.batch_size == AUTO else hyper_params.images_per_step
    smaller = max(2, size // 2)
    return TrainingFailed(
        f"The GPU's memory is too small for {hyper_params.network} with batch_size {size}: {sizes}. "
        f"Try batch_size {smaller} or a smaller network."
    )


def _describe(
    hyper_params: CnnHyperParams, data: Data, network: nn.Module, context: TrainingContext, precision: str
) -> None:
    train_images, test_images = len(data.train), len(data.test)
    validation_images = 0 if data.validation is None else len(data.validation)
    context.control.log(
        f"{hyper_params.dataset}: {train_images:,} training, {validation_images:,} validation and "
        f"{test_images:,} test images of {data.side} x {data.side} x {data.channels}"
    )
    context.control.describe(
        {
            "device": context.device,
            **_name_gpu(context.device),
            "precision": precision,
            "memory_format": "channels_last",
            "threads": torch.get_num_threads(),
            **_describe_ranks(hyper_params.gpus, context.device),
            "torch": torch.__version__,
            "parameters": count_parameters(network),
            "flops_per_image": count_flops(network, channels=data.channels, side=data.side),
            "data_on": data.place,
            "train_images": train_images,
            "validation_images": validation_images,
            "test_images": test_images,
        }
    )


def _name_gpu(device: str) -> dict[str, Scalar]:
    return {"gpu_name": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {}


def _describe_ranks(gpus: int, device: str) -> dict[str, Scalar]:
    """Return what only a training with several processes has; its threads are those of one of them."""
    return {"gpus": gpus, "backend": backend_of(device)} if gpus > 1 else {}
