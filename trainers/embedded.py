"""Datasets without files: scikit-learn's digits, and generated images for tests and measurements."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    table = _read_digits_table()
    # 0..16 in steps of 1; times 15 fills uint8 without rounding.
    images = (table[:, :-1] * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    order = permute(len(labels))
    test = np.concatenate([order[labels[order] == digit][:_DIGITS_TEST_PER_CLASS] for digit in range(10)])
    train = np.setdiff1d(order, test)
    test.sort()
    return Arrays(images[train], labels[train]), Arrays(images[test], labels[test])


def _read_digits_table() -> NDArray[np.float64]:
    """Return one row for each image: 64 values, and its digit."""
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        path = Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"
        # As load_digits does, whose import costs every training process SciPy's and a second or two.
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                return np.loadtxt(stream, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])


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
