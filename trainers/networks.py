"""The networks, built anew for every run. Weights come from torch's generator: seed it before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


class SmallCnn(nn.Module):
    """Two convolutions and two linear layers; 421,642 parameters for 28 x 28 x 1 images and 10 classes."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * (side // 4) ** 2, 128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class Residual(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(_convolve(channels, channels), _convolve(channels, channels))

    def forward(self, images: Tensor) -> Tensor:
        """Return the input plus what the block adds."""
        changed: Tensor = images + self.block(images)
        return changed


class ResNet9(nn.Module):
    """Eight convolutions, two shortcuts and a linear layer, for images from 8 x 8 up.

    Source: D. Page, "How to Train Your ResNet", 2018.
    """

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        if side < 8:
            raise ValueError(f"images have to be 8 x 8 or larger, not {side} x {side}")
        self.features = nn.Sequential(
            _convolve(channels, 64),
            _convolve(64, 128, pool=True),
            Residual(128),
            _convolve(128, 256, pool=True),
            _convolve(256, 512, pool=True),
            Residual(512),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(512, classes)
        # The logits of a fresh network are wide without it, and the first steps too long. Source: ibid.
        self.scale = 0.125

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(images)) * self.scale
        return logits


def _convolve(channels_in: int, channels_out: int, *, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


NETWORKS: Mapping[str, Callable[[int, int, int], nn.Module]] = {"small_cnn": SmallCnn, "resnet9": ResNet9}


def build_network(name: str, *, channels: int, side: int, classes: int, seed: int) -> nn.Module:
    """Return a fresh network whose weights depend on ``seed`` alone."""
    torch.manual_seed(seed)
    return NETWORKS[name](channels, side, classes)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
