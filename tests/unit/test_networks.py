"""The networks: sizes, shapes, and that a seed decides their weights."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from trainers.networks import NETWORKS, LinearAfterDropout, build_network, count_flops, count_parameters
from trainers.params import NetworkName

SMALL = ("small_cnn", "lenet5", "resnet9", "mobilenet_v3_small")
SOME_SLOW = [pytest.param(name, marks=() if name in SMALL else pytest.mark.slow) for name in sorted(NETWORKS)]


def test_the_small_cnn_has_the_original_number_of_parameters() -> None:
    network = build_network("small_cnn", channels=1, side=28, classes=10, seed=0)
    assert count_parameters(network) == 421_642


def test_resnet9_has_its_usual_number_of_parameters() -> None:
    # 6,563,520 in convolutions, 4,480 in BatchNorm, 5,130 in the linear layer.
    network = build_network("resnet9", channels=3, side=32, classes=10, seed=0)
    assert count_parameters(network) == 6_563_520 + 4_480 + 5_130


def test_lenet5_and_resnet18_have_their_usual_number_of_parameters() -> None:
    # 156 + 2,416 + 48,120 + 10,164 + 850, and that of the CIFAR version of K. He et al.'s network.
    assert count_parameters(build_network("lenet5", channels=1, side=28, classes=10, seed=0)) == 61_706
    assert count_parameters(build_network("resnet18", channels=3, side=32, classes=10, seed=0)) == 11_173_962


def test_the_operations_of_an_image_are_those_of_its_layers() -> None:
    network = build_network("small_cnn", channels=1, side=28, classes=10, seed=0)
    convolutions = 28 * 28 * 9 * 32 + 14 * 14 * 9 * 32 * 64
    linear = 64 * 7 * 7 * 128 + 128 * 10
    assert count_flops(network, channels=1, side=28) == 2 * (convolutions + linear)
    assert network.training


@pytest.mark.parametrize("name", ["small_cnn", "resnet18", "mobilenet_v3_small"])
def test_dropout_is_before_the_last_layer_and_keeps_the_names_of_the_weights(name: str) -> None:
    plain = build_network(name, channels=1, side=8, classes=10, seed=0)
    dropping = build_network(name, channels=1, side=8, classes=10, seed=0, dropout=0.5)
    dropping.load_state_dict(plain.state_dict())
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(plain.eval()(images), dropping.eval()(images))
    (layer,) = [module for module in dropping.modules() if isinstance(module, LinearAfterDropout)]
    features = torch.ones(1, layer.in_features)
    layer.train()
    assert not torch.equal(layer(features), layer(features))


def test_every_name_of_the_form_has_a_network() -> None:
    assert set(get_args(NetworkName)) == set(NETWORKS)


@pytest.mark.parametrize("name", SOME_SLOW)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32), (3, 13)])
def test_a_network_takes_images_of_this_shape(name: str, channels: int, side: int) -> None:
    network = build_network(name, channels=channels, side=side, classes=7, seed=0)
    images = torch.rand(2, channels, side, side).contiguous(memory_format=torch.channels_last)
    logits = network(images)
    assert logits.shape == (2, 7)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", SOME_SLOW)
def test_the_seed_alone_decides_the_first_weights(name: str) -> None:
    def first_weights(seed: int) -> torch.Tensor:
        network = build_network(name, channels=1, side=8, classes=10, seed=seed)
        return torch.nn.utils.parameters_to_vector(network.parameters())

    one = first_weights(1)
    torch.rand(5)
    assert torch.equal(one, first_weights(1))
    assert not torch.equal(one, first_weights(2))


def test_an_image_too_small_for_three_poolings_is_refused() -> None:
    with pytest.raises(ValueError, match="8 x 8 or larger"):
        build_network("resnet9", channels=1, side=7, classes=10, seed=0)
