"""Datasets as tensors on the training device, and the fixed splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

from trainers.datasets import Dataset
from trainers.download import Say, fetch_missing
from trainers.reading import Arrays, read_files

_DIGITS_TEST_PER_CLASS = 36
# One permutation for every run: which images are held out must not depend on the run's seed.
_SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W], channels last in memory, and labels int64 [N], on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Split:
        """Return it on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """What a run learns from. ``mean`` and ``std`` of the training images, [1, C, 1, 1], in uint8 steps."""

    train: Split
    test: Split
    validation: Split | None
    mean: Tensor
    std: Tensor

    def normalise(self, images: Tensor) -> Tensor:
        """Return a batch as float32, about 0 with a spread of 1, channels last."""
        return (images.float() - self.mean) / self.std


def load_data(
    dataset: Dataset, datasets_dir: Path, *, device: str, validation_fraction: float, say: Say
) -> Data:
    """Read a dataset, downloading it first where files are missing, and put it on ``device``.

    Raises DatasetUnavailable, which says which files to put where.
    """
    if dataset.file_format == "embedded":
        train, test = _load_digits()
    else:
        fetch_missing(dataset, datasets_dir, say=say)
        train, test = (
            read_files(dataset, files, datasets_dir) for files in (dataset.train_files, dataset.test_files)
        )
    train, validation = _hold_out(train, validation_fraction)
    split = _to_split(train).to(device)
    mean, std = _measure(split.images)
    return Data(
        train=split,
        test=_to_split(test).to(device),
        validation=_to_split(validation).to(device) if validation is not None else None,
        mean=mean,
        std=std,
    )


def _load_digits() -> tuple[Arrays, Arrays]:
    """Return 1,437 training and 360 test images, 36 of each digit in the test split."""
    bunch = load_digits()
    # 0..16 in steps of 1; times 15 fills uint8 without rounding.
    images = (bunch.images * 15).astype(np.uint8)[:, np.newaxis]
    labels = bunch.target.astype(np.int64)
    order = _permute(len(labels))
    test = np.concatenate([order[labels[order] == digit][:_DIGITS_TEST_PER_CLASS] for digit in range(10)])
    train = np.setdiff1d(order, test)
    test.sort()
    return Arrays(images[train], labels[train]), Arrays(images[test], labels[test])


def _hold_out(train: Arrays, fraction: float) -> tuple[Arrays, Arrays | None]:
    held = round(fraction * len(train.labels))
    if held == 0:
        return train, None
    order = _permute(len(train.labels))
    return train.take(np.sort(order[held:])), train.take(np.sort(order[:held]))


def _permute(count: int) -> NDArray[np.int64]:
    # NumPy promises that RandomState's streams never change; torch and default_rng do not.
    return np.random.RandomState(_SPLIT_SEED).permutation(count)


def _to_split(arrays: Arrays) -> Split:
    images = torch.from_numpy(arrays.images).contiguous(memory_format=torch.channels_last)
    return Split(images, torch.from_numpy(arrays.labels))


def _measure(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, from counts, which are exact at any size."""
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])
    weights = counts.double() / counts.sum(1, keepdim=True)
    steps = torch.arange(256, device=images.device, dtype=torch.float64)
    mean = (weights * steps).sum(1, keepdim=True)
    std = (weights * (steps - mean) ** 2).sum(1, keepdim=True).sqrt().clamp_min(1.0)
    return mean.float().view(1, -1, 1, 1), std.float().view(1, -1, 1, 1)
