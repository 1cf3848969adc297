"""A DataLoader as most programs have it: PIL images, one transform per sample, no worker processes."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.train_spec import Spec
from trainers.torchvision_cpu import declare_operators


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images that are made PIL images one by one, as torchvision's MNIST and CIFAR10 do, and transformed."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Any) -> None:
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        self._pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        self._labels = labels
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), int(self._labels[index])


def make_loaders(
    spec: Spec, train_images: Tensor, train_labels: Tensor, test_images: Tensor, test_labels: Tensor
) -> tuple[DataLoader[tuple[Tensor, int]], DataLoader[tuple[Tensor, int]]]:
    """Return the training loader, shuffled and augmented, and the test loader."""
    declare_operators()
    from torchvision import transforms

    channels = train_images.shape[1]
    mean, std = train_images.float().mean().item() / 255, train_images.float().std().item() / 255
    plain = [transforms.ToTensor(), transforms.Normalize([mean] * channels, [std] * channels)]
    augmented = []
    if spec.augmentation == "crop_flip":
        crop = transforms.RandomCrop(spec.side, padding=spec.side // 8, padding_mode="reflect")
        augmented = [crop, transforms.RandomHorizontalFlip()]
    generator = torch.Generator().manual_seed(spec.seed)
    train = PilImages(train_images, train_labels, transforms.Compose([*augmented, *plain]))
    test = PilImages(test_images, test_labels, transforms.Compose(plain))
    return (
        DataLoader(train, batch_size=spec.batch_size, shuffle=True, generator=generator),
        DataLoader(test, batch_size=spec.batch_size),
    )
