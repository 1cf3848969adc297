"""Augmentation against a slow reference that treats one image after another with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.augmentation import Draw, cut_holes, draw, pad, padding_of, take


def make_images(count: int, channels: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last)


def make_draw(augmentation: str, count: int, side: int) -> Draw:
    return draw(augmentation, count=count, side=side, generator=torch.Generator().manual_seed(5))


def slow_augment(images: torch.Tensor, chosen: Draw, augmentation: str) -> np.ndarray:
    side, padding = images.shape[-1], padding_of(augmentation, images.shape[-1])
    results = []
    for place, index in enumerate(chosen.order.tolist()):
        image = np.pad(
            images[index].numpy(), ((0, 0), (padding, padding), (padding, padding)), mode="reflect"
        )
        if chosen.top is not None and chosen.left is not None:
            top, left = int(chosen.top[place]), int(chosen.left[place])
            image = image[:, top : top + side, left : left + side]
        if chosen.is_flipped is not None and chosen.is_flipped[place]:
            image = image[:, :, ::-1]
        image = image.astype(np.float32)
        if chosen.hole_top is not None and chosen.hole_left is not None:
            top, left = int(chosen.hole_top[place]), int(chosen.hole_left[place])
            image[:, top : top + side // 4, left : left + side // 4] = 0.0
        results.append(image)
    return np.stack(results)


@pytest.mark.parametrize("augmentation", ["none", "crop", "crop_flip", "crop_flip_cutout"])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32)])
def test_it_is_that_of_the_slow_reference(augmentation: str, channels: int, side: int) -> None:
    images = make_images(50, channels, side)
    padded = pad(images, padding_of(augmentation, side))
    for chosen in make_draw(augmentation, 50, side).cut(16):
        batch = take(padded, chosen, side=side)
        assert batch.dtype == torch.uint8
        assert batch.is_contiguous(memory_format=torch.channels_last)
        augmented = cut_holes(batch.float(), chosen)
        assert np.array_equal(augmented.numpy(), slow_augment(images, chosen, augmentation))


def test_every_image_comes_once_and_everything_is_drawn() -> None:
    drawn = make_draw("crop_flip_cutout", 1000, 32)
    assert sorted(drawn.order.tolist()) == list(range(1000))
    for values, places in ((drawn.top, 9), (drawn.left, 9), (drawn.hole_top, 25), (drawn.hole_left, 25)):
        assert values is not None
        assert set(values.tolist()) == set(range(places))
    assert drawn.is_flipped is not None
    assert 400 < int(drawn.is_flipped.sum()) < 600


@pytest.mark.parametrize(("augmentation", "parts"), [("none", 1), ("crop", 3), ("crop_flip", 4)])
def test_what_is_not_wanted_is_not_drawn(augmentation: str, parts: int) -> None:
    drawn = make_draw(augmentation, 10, 8)
    assert sum(part is not None for part in vars(drawn).values()) == parts


def test_the_order_is_the_same_with_every_augmentation() -> None:
    one, other = (make_draw(augmentation, 100, 8).order for augmentation in ("none", "crop_flip_cutout"))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (3, 10, [3]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_a_rest_of_one_image_joins_the_batch_before_it(count: int, batch_size: int, sizes: list[int]) -> None:
    drawn = make_draw("crop", count, 8)
    batches = drawn.cut(batch_size)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat([batch.order for batch in batches]), drawn.order)
