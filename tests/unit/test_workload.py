"""The table of operations and images that predicts without torch, counted anew with it."""

from __future__ import annotations

from typing import get_args

import pytest

from trainers.datasets import DATASETS
from trainers.embedded import read_digits
from trainers.networks import build_network, count_flops
from trainers.params import NetworkName
from trainers.workload import FLOPS, IMAGES, find_workload

SHAPES = ((1, 8, 10), (1, 28, 10), (3, 32, 10), (3, 32, 100))


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_the_operations_of_every_network_are_those_torch_counts(name: str) -> None:
    counted = []
    for channels, side, classes in SHAPES[:: 1 if name in ("small_cnn", "resnet9") else 3]:
        network = build_network(name, channels=channels, side=side, classes=classes, seed=0, dropout=0.0)
        counted.append(count_flops(network, channels=channels, side=side))
    assert tuple(counted) == FLOPS[name][:: 1 if name in ("small_cnn", "resnet9") else 3]


def test_every_dataset_has_the_shape_of_its_column() -> None:
    for name, (_, shape) in IMAGES.items():
        dataset = DATASETS[name]
        assert (dataset.channels, dataset.side, dataset.classes) == SHAPES[shape]


def test_the_images_are_those_of_the_training_split() -> None:
    assert IMAGES["digits"][0] == len(read_digits()[0].labels)
    file = DATASETS["mnist"].train_files[1]
    assert file.size_bytes == 8 + IMAGES["mnist"][0]


def test_held_out_images_are_left_out_and_unknown_work_is_none() -> None:
    work = find_workload({"network": "lenet5", "dataset": "mnist", "validation_fraction": 0.1})
    assert work == (54_000, 833_040)
    assert find_workload({"network": "lenet5", "dataset": "image_folder"}) is None
    assert find_workload({"trainer": "script"}) is None
