"""The networks, built anew for every run. Weights come from torch's generator: seed it before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainers.torchvision_networks import TORCHVISION_NETWORKS, build_torchvision_network

_LENET_SIDE = 12


class SmallCnn(nn.Module):
    """Two convolutions and two linear layers; 421,642 parameters for 28 x 28 x 1 images and 10 classes."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            # ReLU after pooling gives the same values and gradients as before it, for a quarter of the work.
            nn.Conv2d(channels, 32, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * (side // 4) ** 2, 128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class LeNet5(nn.Module):
    """Two convolutions and three linear layers; 61,706 parameters for 28 x 28 x 1 images and 10 classes.

    Source: Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998; as usual today
    with every map connected to every other and without radial basis functions.
    """

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        # Images below 12 x 12 would shrink to nothing without it.
        padding = 2 if side < _LENET_SIDE else 0
        features = ((side // 2) + 2 * padding - 4) // 2
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, kernel_size=5, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5, padding=padding),
            nn.Tanh(),
            nn.AvgPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * features**2, 120),
            nn.Tanh(),
            nn.Linear(120, 84),
            nn.Tanh(),
            nn.Linear(84, classes),
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
            # As global max-pooling, which has no deterministic gradient on a GPU.
            GlobalMax(),
        )
        self.classifier = nn.Linear(512, classes)
        # The logits of a fresh network are wide without it, and the first steps too long. Source: ibid.
        self.scale = 0.125

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(images)) * self.scale
        return logits


class GlobalMax(nn.Module):
    """The largest value of each channel."""

    def forward(self, features: Tensor) -> Tensor:
        """Return [N, C]."""
        return features.amax(dim=(2, 3))


def _convolve(channels_in: int, channels_out: int, *, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


class LinearAfterDropout(nn.Linear):
    """A linear layer that leaves out some of its inputs while it learns; its weights keep their names."""

    def __init__(self, layer: nn.Linear, dropout: float) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.dropout = dropout

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        return super().forward(nn.functional.dropout(features, self.dropout, self.training))


NETWORKS: Mapping[str, Callable[[int, int, int], nn.Module]] = {
    "small_cnn": SmallCnn,
    "lenet5": LeNet5,
    "resnet9": ResNet9,
    **{name: partial(build_torchvision_network, name) for name in TORCHVISION_NETWORKS},
}


def build_network(
    name: str, *, channels: int, side: int, classes: int, seed: int, dropout: float = 0.0
) -> nn.Module:
    """Return a fresh network whose weights depend on ``seed`` alone."""
    torch.manual_seed(seed)
    network = NETWORKS[name](channels, side, classes)
    if dropout > 0:
        _drop_before_last_layer(network, dropout)
    return network


def _drop_before_last_layer(network: nn.Module, dropout: float) -> None:
    path, layer = [item for item in network.named_modules() if isinstance(item[1], nn.Linear)][-1]
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, LinearAfterDropout(layer, dropout))


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_flops(network: nn.Module, *, channels: int, side: int) -> int:
    """Return the operations of one image forward, a multiplication and an addition each counted as one."""
    parameter = next(network.parameters())
    image = torch.zeros(1, channels, side, side, device=parameter.device)
    was_training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    network.train(was_training)
    return int(counter.get_total_flops())
