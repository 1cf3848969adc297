"""torchvision's networks, with a first layer for small images and for any number of channels.

They are made for 224 x 224 pixels and shrink an image to a quarter before the first block. Up to 64 x 64 the
first convolution and pooling keep the size instead, as K. He et al. did for CIFAR ("Deep Residual Learning",
2015, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import nn

from trainers.torchvision_cpu import declare_operators

_SMALL_SIDE = 64
# vgg11, a number for a convolution and M for a pooling. Source: K. Simonyan and A. Zisserman, 2014, table 1.
_VGG11 = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")


def build_torchvision_network(name: str, channels: int, side: int, classes: int) -> nn.Module:
    """Return a fresh network called as torchvision calls it."""
    return _BUILDERS[name](name, channels, side, classes)


def _build(name: str, **options: Any) -> Any:
    declare_operators()
    # A second or more: only where such a network is wanted.
    from torchvision import models

    return models.get_model(name, weights=None, **options)


def _build_resnet(name: str, channels: int, side: int, classes: int) -> nn.Module:
    network: Any = _build(name, num_classes=classes)
    if side <= _SMALL_SIDE:
        network.conv1 = _convolve(channels, 64, size=3, stride=1)
        network.maxpool = nn.Identity()
    else:
        network.conv1 = _convolve(channels, 64, size=7, stride=2)
    return cast("nn.Module", network)


def _build_mobile(name: str, channels: int, side: int, classes: int) -> nn.Module:
    """Build a mobilenet or an efficientnet. Dropout is a hyperparameter of its own."""
    network: Any = _build(name, num_classes=classes, dropout=0.0)
    first = network.features[0]
    first[0] = _convolve(channels, first[0].out_channels, size=3, stride=1 if side <= _SMALL_SIDE else 2)
    return cast("nn.Module", network)


def _build_vgg(name: str, channels: int, side: int, classes: int) -> nn.Module:
    """Build a vgg with one linear layer; poolings that would leave less than a pixel are left out."""
    declare_operators()
    from torchvision.models import vgg

    layers: list[str | int] = []
    for layer in _VGG11:
        if layer != "M" or side > 1:
            layers.append(layer)
        side = side // 2 if layer == "M" else side
    network: Any = vgg.VGG(vgg.make_layers(layers, batch_norm=name.endswith("_bn")), num_classes=1)
    first = network.features[0]
    network.features[0] = nn.Conv2d(channels, first.out_channels, kernel_size=3, padding=1)
    _initialise(network.features[0])
    network.avgpool = nn.AdaptiveAvgPool2d(1)
    network.classifier = nn.Linear(512, classes)
    return cast("nn.Module", network)


def _build_densenet(name: str, channels: int, side: int, classes: int) -> nn.Module:
    network: Any = _build(name, num_classes=classes)
    if side <= _SMALL_SIDE:
        network.features.conv0 = _convolve(channels, 64, size=3, stride=1)
        network.features.pool0 = nn.Identity()
    else:
        network.features.conv0 = _convolve(channels, 64, size=7, stride=2)
    return cast("nn.Module", network)


def _convolve(channels_in: int, channels_out: int, *, size: int, stride: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels_in, channels_out, size, stride=stride, padding=size // 2, bias=False)
    _initialise(layer)
    return layer


def _initialise(layer: nn.Conv2d) -> None:
    """Start as torchvision starts its convolutions."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


_BUILDERS: Mapping[str, Callable[[str, int, int, int], nn.Module]] = {
    "resnet18": _build_resnet,
    "resnet34": _build_resnet,
    "resnet50": _build_resnet,
    "mobilenet_v3_small": _build_mobile,
    "mobilenet_v3_large": _build_mobile,
    "efficientnet_b0": _build_mobile,
    "vgg11_bn": _build_vgg,
    "densenet121": _build_densenet,
}
TORCHVISION_NETWORKS = tuple(_BUILDERS)
