"""What chance decides about an epoch: the order of the images, and each one's crop, flip and hole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

# Of an image's side. Source: D. Page, "How to Train Your ResNet", 2018: 4 and 8 pixels of 32.
_PADDING_PART, _HOLE_PART = 8, 4


@dataclass(frozen=True)
class Draw:
    """One entry per image, in the order in which they are learnt; None where nothing is drawn."""

    order: Tensor
    top: Tensor | None = None
    left: Tensor | None = None
    is_flipped: Tensor | None = None
    hole_top: Tensor | None = None
    hole_left: Tensor | None = None

    def __len__(self) -> int:
        return len(self.order)

    def to(self, device: torch.device) -> Draw:
        """Return it on ``device``."""
        return self._apply(lambda values: values.to(device))

    def cut(self, batch_size: int) -> list[Draw]:
        """Cut it into batches. A rest of one image joins the batch before: BatchNorm needs two."""
        starts = list(range(0, len(self), batch_size))
        if len(starts) > 1 and len(self) - starts[-1] == 1 < batch_size:
            starts.pop()
        ends = [*starts[1:], len(self)]
        return [self._slice(start, end) for start, end in zip(starts, ends, strict=True)]

    def every(self, step: int, *, start: int) -> Draw:
        """Return every ``step``-th entry; none where it starts after the last."""
        return self._apply(lambda values: values[start::step])

    def _slice(self, start: int, end: int) -> Draw:
        return self._apply(lambda values: values[start:end])

    def _apply(self, change: Callable[[Tensor], Tensor]) -> Draw:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(part) for name, part in parts.items() if part is not None})


def padding_of(augmentation: str, side: int) -> int:
    """Return by how many pixels training images are padded on each side before they are cropped."""
    return side // _PADDING_PART if augmentation.startswith("crop") else 0


def draw(augmentation: str, *, count: int, side: int, generator: torch.Generator) -> Draw:
    """Draw an epoch of ``count`` images of ``side`` x ``side``; without augmentation, the order alone."""

    def choose(below: int) -> Tensor:
        return torch.randint(below, (count,), generator=generator)

    order = torch.randperm(count, generator=generator)
    if augmentation == "none":
        return Draw(order)
    offsets = 2 * padding_of(augmentation, side) + 1
    top, left = choose(offsets), choose(offsets)
    is_flipped = choose(2).bool() if "flip" in augmentation else None
    if "cutout" not in augmentation:
        return Draw(order, top, left, is_flipped)
    places = side - side // _HOLE_PART + 1
    return Draw(order, top, left, is_flipped, choose(places), choose(places))


def pad(images: Tensor, padding: int) -> Tensor:
    """Return [N, C, H, W] images with that many reflected pixels around them, channels last in memory."""
    if padding == 0:
        return images
    height, width = (_reflect(size, padding).to(images.device) for size in images.shape[2:])
    pixels = images.permute(0, 2, 3, 1)
    return pixels.index_select(1, height).index_select(2, width).permute(0, 3, 1, 2)


def take(images: Tensor, chosen: Draw, *, side: int) -> Tensor:
    """Return the chosen images [B, C, side, side], shuffled, cropped and flipped in one pass over memory.

    ``images`` are padded, uint8, channels last, and on the same device as ``chosen``.
    """
    pixels = images.permute(0, 2, 3, 1)
    if chosen.top is None or chosen.left is None:
        return pixels.index_select(0, chosen.order).permute(0, 3, 1, 2)
    height, width, channels = pixels.shape[1:]
    steps = torch.arange(side, device=images.device)
    columns = steps.expand(len(chosen), side)
    if chosen.is_flipped is not None:
        columns = torch.where(chosen.is_flipped[:, None], columns.flip(1), columns)
    # Whole pixels by their place in memory: four times as fast as indexing by image, row and column.
    first = (chosen.order * height + chosen.top) * width + chosen.left
    places = first[:, None, None] + (steps * width)[:, None] + columns[:, None, :]
    taken = pixels.reshape(-1, channels).index_select(0, places.flatten())
    return taken.view(len(chosen), side, side, channels).permute(0, 3, 1, 2)


def cut_holes(images: Tensor, chosen: Draw) -> Tensor:
    """Set a square of every normalised image [B, C, H, W] to 0, the mean, in place.

    Source: T. DeVries and G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout".
    """
    if chosen.hole_top is None or chosen.hole_left is None:
        return images
    side = images.shape[-1]
    steps = torch.arange(side, device=images.device)
    down, across = (steps - first[:, None] for first in (chosen.hole_top, chosen.hole_left))
    size = side // _HOLE_PART
    is_hole = ((down >= 0) & (down < size))[:, :, None] & ((across >= 0) & (across < size))[:, None, :]
    return images.masked_fill_(is_hole[:, None], 0.0)


def _reflect(size: int, padding: int) -> Tensor:
    """Return the pixel that stands at each place of a padded line, as numpy.pad(mode="reflect") has it."""
    places = torch.arange(-padding, size + padding).abs()
    return torch.where(places < size, places, 2 * (size - 1) - places)
