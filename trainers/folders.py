"""Images in folders: one folder per class, files in any format that Pillow reads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from errors import DatasetUnavailable
from trainers.augmentation import Draw, pad, take
from trainers.device import count_local_ranks
from trainers.download import PROGRESS_S, Say
from trainers.embedded import permute
from trainers.reading import Arrays

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_TEST_PART = 0.2
_MOST_WORKERS = 8
# A worker process takes 0.1 s to start: not worth it for a few images.
_IMAGES_PER_WORKER = 256
_DECODE_BATCH = 256
_SAMPLE = 4_096


@dataclass(frozen=True)
class Files:
    """Paths of images and their labels."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)

    def pick(self, indices: NDArray[np.int64]) -> Files:
        """Return the chosen files."""
        return Files(tuple(self.paths[index] for index in indices), self.labels[indices])


class Folder(NamedTuple):
    """A folder's classes, in the order of their labels, and its splits."""

    classes: tuple[str, ...]
    train: Files
    test: Files


@dataclass(frozen=True)
class FolderSplit:
    """Images that stay in their files: worker processes decode them while the device computes."""

    files: Files
    side: int
    device: torch.device
    padding: int = 0

    @property
    def home(self) -> torch.device:
        """Where the images are, and draws have to be."""
        return torch.device("cpu")

    def __len__(self) -> int:
        return len(self.files)

    def load(self, draws: Iterable[Draw]) -> Iterator[tuple[Tensor, Tensor]]:
        """Return a training batch for each draw, padded and cropped on the device."""
        listed = list(draws)
        batches = _decode_batches(self.files, self.side, [chosen.order.tolist() for chosen in listed])
        for chosen, images in zip(listed, batches, strict=True):
            labels = torch.from_numpy(self.files.labels[chosen.order.numpy()])
            in_place = replace(chosen, order=torch.arange(len(chosen))).to(self.device)
            padded = pad(self._send(images), self.padding)
            yield take(padded, in_place, side=self.side), self._send(labels)

    def load_all(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return every image once, in order."""
        if len(self):
            yield from self.load(Draw(torch.arange(len(self))).cut(batch_size))

    def narrow(self, start: int, end: int) -> FolderSplit:
        """Return the images from ``start`` up to ``end``."""
        return replace(self, files=self.files.pick(np.arange(start, end)))

    def _send(self, values: Tensor) -> Tensor:
        if self.device.type == "cuda":
            values = values.pin_memory()
        return values.to(self.device, non_blocking=True)


def find_images(datasets_dir: Path, name: str) -> Folder:
    """List a folder under ``datasets_dir``: train/<class>/* and test/<class>/*, or <class>/* alone.

    Without a test folder, a fifth of the images is the test split, the same ones every time. Raises
    DatasetUnavailable when it is not there, lies elsewhere, or has fewer than two classes.
    """
    root = (datasets_dir / name).resolve()
    if not root.is_relative_to(datasets_dir.resolve()):
        raise DatasetUnavailable(f"The folder {name} leads out of {datasets_dir}. Put the images there.")
    train_dir, test_dir = root / "train", root / "test"
    has_test = train_dir.is_dir() and test_dir.is_dir()
    classes = _list_classes(train_dir if has_test else root)
    if len(classes) < 2:
        raise DatasetUnavailable(
            f"{root} has no folders of images, one for each class. Put them there as <class>/<image>, or as "
            "train/<class>/<image> and test/<class>/<image>."
        )
    if has_test:
        return Folder(classes, _list_files(train_dir, classes), _list_files(test_dir, classes))
    files = _list_files(root, classes)
    order, held = permute(len(files)), max(1, round(_TEST_PART * len(files)))
    return Folder(classes, files.pick(np.sort(order[held:])), files.pick(np.sort(order[:held])))


def decode(folder: Folder, side: int, say: Say) -> tuple[Arrays, Arrays]:
    """Return both splits in memory."""
    return _decode(folder.train, side, say), _decode(folder.test, side, say)


def read_sample(files: Files, side: int, say: Say) -> NDArray[np.uint8]:
    """Return some thousand images, to measure their brightness by."""
    return _decode(files.pick(np.sort(permute(len(files))[:_SAMPLE])), side, say).images


def _decode(files: Files, side: int, say: Say) -> Arrays:
    said_s = time.monotonic()
    indices = list(range(len(files)))
    batches = [indices[start : start + _DECODE_BATCH] for start in range(0, len(files), _DECODE_BATCH)]
    images = np.empty((len(files), side, side, 3), dtype=np.uint8)
    for chosen, part in zip(batches, _decode_batches(files, side, batches), strict=True):
        images[chosen[0] : chosen[-1] + 1] = part.permute(0, 2, 3, 1).numpy()
        if time.monotonic() - said_s > PROGRESS_S:
            said_s = time.monotonic()
            say(f"{chosen[-1] + 1:,} of {len(files):,} images read so far")
    return Arrays(images.transpose(0, 3, 1, 2), files.labels)


def _decode_batches(files: Files, side: int, batches: Sequence[list[int]]) -> Iterator[Tensor]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loader = DataLoader(
        _Decoding(files, side),
        batch_sampler=batches,
        collate_fn=partial(_collate, side=side),
        # It draws a seed for its workers, by default from the generator that draws dropout.
        generator=torch.Generator(),
        num_workers=min(
            max(1, cores // count_local_ranks()), _MOST_WORKERS, sum(map(len, batches)) // _IMAGES_PER_WORKER
        ),
    )
    for batch in loader:
        if isinstance(batch, str):
            raise DatasetUnavailable(f"{batch} cannot be read as an image. Repair it, or take it away.")
        yield batch


class _Decoding(Dataset[NDArray[np.uint8] | str]):
    """Decodes images to squares: the shorter side is scaled, the middle of the longer one kept."""

    def __init__(self, files: Files, side: int) -> None:
        self._files = files
        self._side = side

    def __getitem__(self, index: int) -> NDArray[np.uint8] | str:
        path = self._files.paths[index]
        try:
            with Image.open(path) as image:
                return _to_square(image.convert("RGB"), self._side)
        # What Pillow raises on a file that is cut short, or of no format it knows.
        except (OSError, ValueError, SyntaxError):
            return str(path)


def _to_square(image: Image.Image, side: int) -> NDArray[np.uint8]:
    width, height = image.size
    scale = side / min(width, height)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    scaled = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(scaled.crop((left, top, left + side, top + side)))


def _collate(images: list[NDArray[np.uint8] | str], *, side: int) -> Tensor | str:
    """Return [B, C, H, W], channels last, or the path of a file that is no image."""
    for image in images:
        if isinstance(image, str):
            return image
    # One of several processes may have nothing of an epoch's last batch.
    stacked = np.stack(images) if images else np.empty((0, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def _list_classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."))


def _list_files(folder: Path, classes: Sequence[str]) -> Files:
    found = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in _SUFFIXES
    ]
    if not found:
        raise DatasetUnavailable(f"{folder} has no images. Put them there as <class>/<image>.")
    return Files(tuple(path for path, _ in found), np.array([label for _, label in found], dtype=np.int64))
