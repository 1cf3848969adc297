"""Datasets without files: scikit-learn's digits, and generated images for tests and measurements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from trainers.datasets import Dataset
from trainers.reading import Arrays

_DIGITS_TEST_PER_CLASS = 36
_FAKE_TRAIN, _FAKE_TEST = 2_000, 400
# One permutation for every run: which images are held out must not depend on the run's seed.
_SPLIT_SEED = 0


def permute(count: int) -> NDArray[np.int64]:
    """Return the permutation by which images are held out, the same on every machine and for every run."""
    # NumPy promises that RandomState's streams never change; torch and default_rng do not.
    return np.random.RandomState(_SPLIT_SEED).permutation(count)


def read_digits() -> tuple[Arrays, Arrays]:
    """Return 1,437 training and 360 test images, 36 of each digit in the test split."""
    bunch = load_digits()
    # 0..16 in steps of 1; times 15 fills uint8 without rounding.
    images = (bunch.images * 15).astype(np.uint8)[:, np.newaxis]
    labels = bunch.target.astype(np.int64)
    order = permute(len(labels))
    test = np.concatenate([order[labels[order] == digit][:_DIGITS_TEST_PER_CLASS] for digit in range(10)])
    train = np.setdiff1d(order, test)
    test.sort()
    return Arrays(images[train], labels[train]), Arrays(images[test], labels[test])


def make_fake(dataset: Dataset) -> tuple[Arrays, Arrays]:
    """Return noise in which a bright row tells the class, the same every time."""
    chance = np.random.RandomState(_SPLIT_SEED)
    arrays = []
    for count in (_FAKE_TRAIN, _FAKE_TEST):
        shape = (count, dataset.channels, dataset.side, dataset.side)
        images = chance.randint(0, 128, shape, dtype=np.uint8)
        labels = np.arange(count, dtype=np.int64) % dataset.classes
        images[np.arange(count), :, labels * dataset.side // dataset.classes] += 100
        arrays.append(Arrays(images, labels))
    return arrays[0], arrays[1]
