"""Read the published file formats: MNIST's IDX, CIFAR's pickles, SVHN's .mat."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from errors import DatasetUnavailable
from trainers.datasets import DataFile, Dataset
from trainers.torchvision_cpu import declare_operators

# What the readers, torch and torchvision raise on a file that is not of their format.
_FORMAT_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AssertionError,
    RuntimeError,
    pickle.UnpicklingError,
)


@dataclass(frozen=True)
class Arrays:
    """Images uint8 [N, C, H, W] and labels int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> Arrays:
        """Return the chosen images."""
        return Arrays(self.images[indices], self.labels[indices])


def read_files(dataset: Dataset, files: Sequence[DataFile], datasets_dir: Path) -> Arrays:
    """Read one split. Raises DatasetUnavailable when a file is not what was published."""
    paths = [datasets_dir / file.path for file in files]
    try:
        for file, path in zip(files, paths, strict=True):
            if file.md5 is not None and compute_md5(path) != file.md5:
                raise _broken(path, "its checksum is not the published one")
        arrays = _READERS[dataset.file_format](paths)
    except _FORMAT_ERRORS as error:
        raise _broken(paths[0], f"{type(error).__name__} {error}".strip()) from error
    _check(dataset, arrays, paths[0])
    return arrays


def compute_md5(path: Path) -> str:
    """Return the MD5 sum by which the datasets' publishers name their files."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check(dataset: Dataset, arrays: Arrays, path: Path) -> None:
    shape = (dataset.channels, dataset.side, dataset.side)
    if arrays.images.shape[1:] != shape or arrays.images.dtype != np.uint8:
        raise _broken(path, f"its images have the shape {arrays.images.shape[1:]} instead of {shape}")
    if len(arrays.labels) != len(arrays.images) or len(arrays.labels) == 0:
        raise _broken(path, f"it has {len(arrays.images)} images and {len(arrays.labels)} labels")
    if arrays.labels.min() < 0 or arrays.labels.max() >= dataset.classes:
        raise _broken(path, f"a label is not one of the {dataset.classes} classes")


def _broken(path: Path, reason: str) -> DatasetUnavailable:
    return DatasetUnavailable(
        f"{path} cannot be used: {reason}. Put the published file there, or delete it for a download."
    )


def _read_idx(paths: Sequence[Path]) -> Arrays:
    declare_operators()
    from torchvision.datasets.mnist import read_image_file, read_label_file

    images, labels = paths
    return Arrays(read_image_file(str(images)).numpy()[:, np.newaxis], read_label_file(str(labels)).numpy())


def _read_cifar(paths: Sequence[Path]) -> Arrays:
    images, labels = [], []
    for path in paths:
        with path.open("rb") as stream:
            batch = _ArrayUnpickler(stream).load()
        images.append(batch["data"])
        labels.extend(batch["labels"] if "labels" in batch else batch["fine_labels"])
    return Arrays(np.concatenate(images).reshape(-1, 3, 32, 32), np.asarray(labels, dtype=np.int64))


def _read_svhn(paths: Sequence[Path]) -> Arrays:
    from scipy.io import loadmat  # type: ignore[import-untyped] # scipy ships no annotations

    content = loadmat(paths[0])
    # The publisher writes the digit 0 as 10.
    return Arrays(content["X"].transpose(3, 2, 0, 1), content["y"].astype(np.int64).reshape(-1) % 10)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickle dicts, lists, numbers and NumPy arrays, and nothing that could run code."""

    _ALLOWED: Mapping[tuple[str, str], object] = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined] # not in the stubs
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined] # not in the stubs
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="latin1")

    def find_class(self, module: str, name: str) -> object:
        """Return an allowed callable; anything else is refused."""
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no dataset needs") from None


_READERS: Mapping[str, Callable[[Sequence[Path]], Arrays]] = {
    "idx": _read_idx,
    "cifar": _read_cifar,
    "svhn": _read_svhn,
}
