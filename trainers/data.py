"""Datasets as tensors, where they live while a network learns, and the fixed splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.augmentation import Draw, pad, padding_of, take
from trainers.datasets import Dataset
from trainers.device import count_local_ranks
from trainers.download import Say, fetch_missing
from trainers.embedded import make_fake, permute, read_digits
from trainers.folders import Folder, FolderSplit, decode, find_images, read_sample
from trainers.params import CnnHyperParams
from trainers.reading import Arrays, read_files

# Of the memory that is free when a run starts; the rest is for weights and activations.
_DATA_SHARE = 0.5

Batches = Iterator[tuple[Tensor, Tensor]]


class Split(Protocol):
    """Labelled images. Batches are uint8 [B, C, H, W], channels last, and int64 [B], on ``device``."""

    @property
    def device(self) -> torch.device:
        """Where the network learns."""

    @property
    def home(self) -> torch.device:
        """Where the images are, and draws have to be."""

    def __len__(self) -> int:
        """Return the number of images."""

    def load(self, draws: Iterable[Draw]) -> Batches:
        """Return a training batch for each draw, in order."""

    def load_all(self, batch_size: int) -> Batches:
        """Return every image once, as it is and in order."""

    def narrow(self, start: int, end: int) -> Split:
        """Return the images from ``start`` up to ``end`` alone."""


@dataclass(frozen=True)
class TensorSplit:
    """Images uint8 [N, C, H, W], channels last, with ``padding`` around them, and labels int64 [N].

    They are on ``device``, or in pinned host memory where they do not fit there.
    """

    images: Tensor
    labels: Tensor
    device: torch.device
    padding: int = 0

    @property
    def home(self) -> torch.device:
        """Where the images are, and draws have to be."""
        return self.images.device

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, draws: Iterable[Draw]) -> Batches:
        """Return a training batch for each draw. From the host it is copied while the device computes."""
        side = self.images.shape[-1] - 2 * self.padding
        for chosen in draws:
            yield self._send(take(self.images, chosen, side=side)), self._send(self.labels[chosen.order])

    def load_all(self, batch_size: int) -> Batches:
        """Return every image once, without its padding."""
        if not len(self):
            return
        inner = slice(self.padding, self.images.shape[-1] - self.padding)
        images = self.images[:, :, inner, inner] if self.padding else self.images
        for part, labels in zip(images.split(batch_size), self.labels.split(batch_size), strict=True):
            yield self._send(part), self._send(labels)

    def narrow(self, start: int, end: int) -> TensorSplit:
        """Return the images from ``start`` up to ``end``, which stay where they are."""
        return replace(self, images=self.images[start:end], labels=self.labels[start:end])

    def move(self, device: torch.device) -> TensorSplit:
        """Return it with its images on ``device``."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def pin(self) -> TensorSplit:
        """Return it in host memory that a GPU can read while it computes."""
        if self.device.type != "cuda":
            return self
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())

    def _send(self, values: Tensor) -> Tensor:
        if values.device == self.device:
            return values
        return values.pin_memory().to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Data:
    """What a run learns from. ``mean`` and ``std`` of the training images, [1, C, 1, 1], in uint8 steps."""

    train: Split
    test: Split
    validation: Split | None
    mean: Tensor
    std: Tensor
    channels: int
    side: int
    classes: int
    place: str
    """Where the images are while the network learns: device, host or files."""
    class_names: tuple[str, ...] = ()
    """In the order of the labels; empty where the dataset does not say."""

    @property
    def device(self) -> torch.device:
        """Where the network learns."""
        return self.mean.device

    def normalise(self, images: Tensor) -> Tensor:
        """Return a batch as float32, about 0 with a spread of 1, channels last."""
        mean, std = self._by_pixel
        return images.float().sub_(mean).div_(std)

    @cached_property
    def _by_pixel(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation for every pixel: three times as fast on a CPU as one for every channel."""
        shape = (1, self.channels, self.side, self.side)
        layout = torch.channels_last
        return (
            self.mean.expand(shape).contiguous(memory_format=layout),
            self.std.expand(shape).contiguous(memory_format=layout),
        )


def load_data(
    dataset: Dataset,
    datasets_dir: Path,
    hyper_params: CnnHyperParams,
    *,
    device: str,
    say: Say,
    limit_bytes: int | None = None,
) -> Data:
    """Read a dataset, downloading it first where files are missing, and put it where the network learns.

    Images of more than ``limit_bytes`` (by default half of the device's free memory) stay in pinned host
    memory, those of a folder in their files. Raises DatasetUnavailable, which says which files to put where.
    """
    home = torch.device(device)
    limit_bytes = _measure_room(home) if limit_bytes is None else limit_bytes
    folder = None
    if dataset.file_format == "folder":
        folder = find_images(datasets_dir, hyper_params.image_folder or "")
        names = folder.classes
        dataset = replace(dataset, side=hyper_params.image_side, classes=len(names), class_names=names)
        if _count_bytes(dataset, len(folder.train) + len(folder.test), hyper_params) > limit_bytes:
            return _stream(dataset, folder, hyper_params, home, say)
    train, test = _read(dataset, datasets_dir, say) if folder is None else decode(folder, dataset.side, say)
    train, validation = _hold_out(train, hyper_params.validation_fraction)
    is_resident = _count_bytes(dataset, len(train.labels), hyper_params) <= limit_bytes

    def place(arrays: Arrays, padding: int = 0) -> TensorSplit:
        images = torch.from_numpy(arrays.images).contiguous(memory_format=torch.channels_last)
        split = TensorSplit(pad(images, padding), torch.from_numpy(arrays.labels), home, padding)
        return split.move(home) if is_resident else split.pin()

    return _describe(
        dataset,
        train=place(train, padding_of(hyper_params.augmentation, dataset.side)),
        test=place(test),
        validation=None if validation is None else place(validation),
        statistics=measure(torch.from_numpy(train.images)),
        place="device" if is_resident else "host",
    )


def measure(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, from counts, which are exact at any size."""
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])
    weights = counts.double() / counts.sum(1, keepdim=True)
    steps = torch.arange(256, device=images.device, dtype=torch.float64)
    mean = (weights * steps).sum(1, keepdim=True)
    std = (weights * (steps - mean) ** 2).sum(1, keepdim=True).sqrt().clamp_min(1.0)
    return mean.float().view(1, -1, 1, 1), std.float().view(1, -1, 1, 1)


def _read(dataset: Dataset, datasets_dir: Path, say: Say) -> tuple[Arrays, Arrays]:
    match dataset.file_format:
        case "embedded":
            return read_digits()
        case "generated":
            return make_fake(dataset)
        case _:
            fetch_missing(dataset, datasets_dir, say=say)
            return (
                read_files(dataset, dataset.train_files, datasets_dir),
                read_files(dataset, dataset.test_files, datasets_dir),
            )


def _stream(
    dataset: Dataset, folder: Folder, hyper_params: CnnHyperParams, device: torch.device, say: Say
) -> Data:
    """Leave a folder's images in their files; each is decoded again in every epoch."""
    padding = padding_of(hyper_params.augmentation, dataset.side)
    held, kept = _choose_held(len(folder.train), hyper_params.validation_fraction)
    train, validation = folder.train.pick(kept), folder.train.pick(held)
    return _describe(
        dataset,
        train=FolderSplit(train, dataset.side, device, padding),
        test=FolderSplit(folder.test, dataset.side, device),
        validation=FolderSplit(validation, dataset.side, device) if len(validation) else None,
        statistics=measure(torch.from_numpy(read_sample(train, dataset.side, say))),
        place="files",
    )


def _describe(
    dataset: Dataset,
    *,
    train: Split,
    test: Split,
    validation: Split | None,
    statistics: tuple[Tensor, Tensor],
    place: str,
) -> Data:
    mean, std = (values.to(train.device) for values in statistics)
    channels, side, classes = dataset.channels, dataset.side, dataset.classes
    return Data(train, test, validation, mean, std, channels, side, classes, place, dataset.class_names)


def _measure_room(device: torch.device) -> int:
    """Return how many bytes of images may be held on ``device``."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = psutil.virtual_memory().available // count_local_ranks()
    return int(_DATA_SHARE * free)


def _count_bytes(dataset: Dataset, count: int, hyper_params: CnnHyperParams) -> int:
    padded = dataset.side + 2 * padding_of(hyper_params.augmentation, dataset.side)
    return count * dataset.channels * padded**2


def _hold_out(train: Arrays, fraction: float) -> tuple[Arrays, Arrays | None]:
    held, kept = _choose_held(len(train.labels), fraction)
    return (train.take(kept), train.take(held)) if len(held) else (train, None)


def _choose_held(count: int, fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which training images are held out, and which are not: the same for every run's seed."""
    order, held = permute(count), round(fraction * count)
    return np.sort(order[:held]), np.sort(order[held:])
