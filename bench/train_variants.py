"""The training loops that bench.train compares, each an endless generator that trains one epoch per step.

Run as a program it is one process with several loops, ``python -m bench.train_variants '<Job as JSON>'``: for
every line with the number of a loop it trains an epoch and answers with the figures as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.train_spec import Spec

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainers.data import Data
    from trainers.params import CnnHyperParams


@dataclass(frozen=True)
class Job:
    """The loops of one process; ``is_tuned`` gives it the allocator settings of a worker."""

    specs: tuple[Spec, ...]
    is_tuned: bool
    threads: int


@dataclass(frozen=True)
class Figures:
    """What one epoch took, training and evaluation together."""

    wall_s: float
    cpu_s: float
    accuracy: float


class SilentControl:
    """A Control that never asks for anything."""

    def after_step(self, step: int) -> None:
        """Let the training go on."""

    def log(self, text: str) -> None:
        """Drop the line."""

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Drop the facts."""


def make_images(spec: Spec) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return handwritten digits enlarged to ``side``, colours included where it is 32: train, then test.

    The 1,437 and 360 images of scikit-learn, repeated until there are enough.
    """
    import torch
    from torch.nn.functional import interpolate

    from trainers.embedded import read_digits

    channels = 3 if spec.side == 32 else 1
    parts = []
    for arrays, count in zip(read_digits(), (spec.train_images, spec.test_images), strict=True):
        chosen = torch.arange(count) % len(arrays.labels)
        images = torch.from_numpy(arrays.images)[chosen].float()
        large = interpolate(images, size=(spec.side, spec.side), mode="bilinear").byte()
        parts += [large.expand(-1, channels, -1, -1), torch.from_numpy(arrays.labels)[chosen]]
    train_images, train_labels, test_images, test_labels = parts
    return train_images, train_labels, test_images, test_labels


def make_hyper_params(spec: Spec) -> CnnHyperParams:
    """Return what all loops have in common."""
    from trainers.params import CnnHyperParams

    return CnnHyperParams.model_validate(
        {
            "network": "small_cnn",
            "optimizer": "adam",
            "learning_rate": 0.001,
            "batch_size": spec.batch_size,
            "num_epochs": 10_000,
            "precision": spec.precision,
            "augmentation": spec.augmentation,
            "seed": spec.seed,
        }
    )


def make_network(spec: Spec) -> nn.Module:
    """Return the network, in the memory format that it comes in."""
    from trainers.networks import build_network

    channels = 3 if spec.side == 32 else 1
    return build_network("small_cnn", channels=channels, side=spec.side, classes=10, seed=spec.seed).to(
        spec.device
    )


def train_original(spec: Spec) -> Iterator[float]:
    """Train as the program did that Wattle replaces: per-sample PIL images, ``.item()`` after every batch."""
    import torch
    from torch.nn.functional import cross_entropy
    from tqdm import tqdm

    from bench.train_loader import make_loaders

    train_loader, test_loader = make_loaders(spec, *make_images(spec))
    network = make_network(spec)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    while True:
        network.train()
        total_loss, total_correct = 0.0, 0.0
        for images, labels in tqdm(train_loader, disable=None):
            images, labels = images.to(spec.device), labels.to(spec.device)
            optimizer.zero_grad()
            logits = network(images)
            loss = cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            total_loss += loss.item()
            total_correct += (logits.argmax(1) == labels).sum().item()
        network.eval()
        correct = 0.0
        with torch.no_grad():
            for images, labels in test_loader:
                logits = network(images.to(spec.device))
                total_loss += cross_entropy(logits, labels.to(spec.device)).item()
                correct += (logits.argmax(1) == labels.to(spec.device)).sum().item()
        yield correct / spec.test_images


def train_ours(spec: Spec) -> Iterator[float]:
    """Train with the loop of the product."""
    from trainers.loop import train

    network = make_network(spec).to(memory_format=_channels_last())  # type: ignore[call-overload] # not in the stub
    for result in train(network, make_data(spec), make_hyper_params(spec), control=SilentControl()):
        yield result.test_accuracy


def train_floor(spec: Spec) -> Iterator[float]:
    """Compute forward, backward and step on one resident batch, again and again, and nothing else."""
    import torch
    from torch.nn.functional import cross_entropy

    from trainers.loop import EVALUATION_BATCH
    from trainers.optimizers import build_optimizer
    from trainers.precision import autocast, resolve_precision

    hyper_params = make_hyper_params(spec)
    network = make_network(spec).to(memory_format=_channels_last())  # type: ignore[call-overload] # not in the stub
    optimizer = build_optimizer(network, hyper_params)
    data = make_data(spec)
    images, labels = next(data.train.load_all(spec.batch_size))
    images = data.normalise(images)
    device = torch.device(spec.device)
    precision = autocast(device, resolve_precision(spec.precision, device))
    tests = [data.normalise(part) for part, _ in data.test.load_all(EVALUATION_BATCH)]
    while True:
        network.train()
        for start in range(0, spec.train_images, spec.batch_size):
            size = min(spec.batch_size, spec.train_images - start)
            with precision:
                loss = cross_entropy(network(images[:size]), labels[:size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode(), precision:
            for part in tests:
                network(part)
        yield 0.0


def make_data(spec: Spec) -> Data:
    """Return the images as a run of the product has them."""
    import torch

    from trainers.augmentation import pad, padding_of
    from trainers.data import Data, TensorSplit, measure

    device = torch.device(spec.device)
    train_images, train_labels, test_images, test_labels = make_images(spec)
    padding = padding_of(spec.augmentation, spec.side)
    mean, std = measure(train_images)

    def place(images: Tensor, labels: Tensor, padding: int = 0) -> TensorSplit:
        resident = pad(images.contiguous(memory_format=torch.channels_last), padding)
        return TensorSplit(resident.to(device), labels.to(device), device, padding)

    return Data(
        train=place(train_images, train_labels, padding),
        test=place(test_images, test_labels),
        validation=None,
        mean=mean.to(device),
        std=std.to(device),
        channels=train_images.shape[1],
        side=spec.side,
        classes=10,
        place="device",
    )


def _channels_last() -> torch.memory_format:
    import torch

    return torch.channels_last


LOOPS: Mapping[str, Callable[[Spec], Iterator[float]]] = {
    "original": train_original,
    "ours": train_ours,
    "floor": train_floor,
}


def measure_epoch(epochs: Iterator[float], device: str) -> Figures:
    """Train one epoch; the clock stops when the device has finished."""
    import torch

    wall_s, cpu_s = time.perf_counter(), time.process_time()
    accuracy = next(epochs)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return Figures(time.perf_counter() - wall_s, time.process_time() - cpu_s, accuracy)


def main() -> None:
    """Answer every line with the figures of an epoch."""
    raw = json.loads(sys.argv[1])
    job = Job(tuple(Spec(**spec) for spec in raw["specs"]), raw["is_tuned"], raw["threads"])
    if job.is_tuned:
        from trainers.allocator import keep_freed_memory

        keep_freed_memory()
    import torch

    torch.set_num_threads(job.threads)
    loops = [LOOPS[spec.loop](spec) for spec in job.specs]
    for line in sys.stdin:
        number = int(line)
        print(json.dumps(asdict(measure_epoch(loops[number], job.specs[number].device))), flush=True)


if __name__ == "__main__":
    main()
