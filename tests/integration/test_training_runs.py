"""Whole runs of the trainer ``cnn``: every dataset and every network through the real loading code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import conv2d, max_pool2d

from errors import DatasetUnavailable, TrainingFailed
from schema import EpochResult, TrainingContext
from tests.integration.test_datasets import cifar_file, idx_files, make_images, md5, put
from tests.integration.test_trainers import CollectingControl
from trainers.augmentation import Draw
from trainers.cards import Card
from trainers.checkpoints import open_checkpoints
from trainers.cnn import train_cnn
from trainers.data import load_data
from trainers.datasets import DATASETS, DataFile, Dataset
from trainers.networks import build_network
from trainers.params import CnnHyperParams, NetworkName
from trainers.saved_models import CARD_FILE, open_models
from trainers.training import Training

LARGE = ("resnet34", "resnet50", "mobilenet_v3_large", "efficientnet_b0", "densenet121")


def train_on(
    dataset: Dataset,
    datasets_dir: Path,
    control: CollectingControl | None = None,
    device: str = "cpu",
    /,
    **raw: object,
) -> list[EpochResult]:
    hyper_params = CnnHyperParams.model_validate(
        {"dataset": dataset.name, "num_epochs": 1, "batch_size": 8, **raw}
    )
    context = TrainingContext(
        datasets_dir=datasets_dir, device=device, control=control or CollectingControl()
    )
    return list(train_cnn(hyper_params, context, datasets={dataset.name: dataset}))


def test_a_model_says_what_it_learnt_from_where_the_table_of_datasets_is_another(tmp_path: Path) -> None:
    dataset = replace(DATASETS["digits"], name="fake", title="Digits of our own")
    context = TrainingContext(
        datasets_dir=tmp_path,
        device="cpu",
        control=CollectingControl(),
        checkpoints=open_checkpoints(str(tmp_path), "run"),
        models=open_models(str(tmp_path / "models"), "run"),
    )
    hyper_params = CnnHyperParams.model_validate({"dataset": "fake", "num_epochs": 1})
    assert len(list(train_cnn(hyper_params, context, datasets={"fake": dataset}))) == 1
    card = Card.model_validate_json((tmp_path / "models" / "run" / "last" / CARD_FILE).read_bytes())
    assert card.dataset.title == "Digits of our own"


def put_cifar(datasets_dir: Path, name: str) -> Dataset:
    key = "labels" if name == "cifar10" else "fine_labels"
    files = {}
    for file in DATASETS[name].files:
        content = cifar_file(make_images(12, DATASETS[name]), label_key=key)
        put(datasets_dir / file.path, content)
        files[file.path] = DataFile(file.path, md5=md5(content))
    train, test = DATASETS[name].train_files, DATASETS[name].test_files
    return replace(
        DATASETS[name],
        train_files=tuple(files[file.path] for file in train[:2]),
        test_files=tuple(files[file.path] for file in test),
    )


def put_svhn(datasets_dir: Path, name: str) -> Dataset:
    from scipy.io import savemat  # type: ignore[import-untyped] # scipy ships no annotations

    files = []
    for file in DATASETS[name].files:
        images = make_images(20, DATASETS[name]).transpose(2, 3, 1, 0)
        savemat(datasets_dir / file.path, {"X": images, "y": np.arange(1, 21).astype(np.uint8)[:, None] % 10})
        files.append(DataFile(file.path, md5=md5((datasets_dir / file.path).read_bytes())))
    return replace(DATASETS[name], train_files=(files[0],), test_files=(files[1],))


def put_idx(datasets_dir: Path, name: str) -> Dataset:
    table, contents, _ = idx_files(DATASETS[name], (30, 10))
    for path, content in contents.items():
        put(datasets_dir / path, content)
    return table


def put_folder(datasets_dir: Path, name: str = "image_folder") -> Dataset:
    """Red and blue photos of several shapes and formats."""
    for split, count in (("train", 12), ("test", 4)):
        for index in range(count):
            colour, suffix = (("red", "png"), ("blue", "jpg"))[index % 2]
            path = datasets_dir / "photos" / split / colour / f"{index}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (20 + index, 30) if index % 3 else (30, 20 + index)
            Image.new("RGB", shape, colour).save(path)
    return DATASETS[name]


def put_nothing(datasets_dir: Path, name: str) -> Dataset:
    return DATASETS[name]


DATASET_FILES: Mapping[str, Callable[[Path, str], Dataset]] = {
    "digits": put_nothing,
    "mnist": put_idx,
    "fashion_mnist": put_idx,
    "cifar10": put_cifar,
    "cifar100": put_cifar,
    "svhn": put_svhn,
    "image_folder": put_folder,
    "fake": put_nothing,
}


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_dataset_trains(tmp_path: Path, name: str) -> None:
    dataset = DATASET_FILES[name](tmp_path, name)
    folder = {"image_folder": "photos", "image_side": 16} if name == "image_folder" else {}
    (result,) = train_on(
        dataset, tmp_path, batch_size=100, augmentation="crop_flip_cutout", validation_fraction=0.25, **folder
    )
    assert result.epoch == 1
    assert result.validation_accuracy is not None


@pytest.mark.parametrize(
    "network",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in get_args(NetworkName)],
)
def test_every_network_trains(tmp_path: Path, network: str) -> None:
    control = CollectingControl()
    (result,) = train_on(put_cifar(tmp_path, "cifar10"), tmp_path, control, network=network, dropout=0.1)
    assert result.train_loss < 20
    assert isinstance(control.facts["flops_per_image"], int)
    assert isinstance(control.facts["images_per_s"], float)


EVERYTHING = {
    "num_epochs": 2,
    "network": "resnet9",
    "optimizer": "adamw",
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "augmentation": "crop_flip_cutout",
    "dropout": 0.3,
    "validation_fraction": 0.2,
}


def figures_of(results: list[EpochResult]) -> list[dict[str, object]]:
    return [result.model_dump(exclude={"duration_s"}) for result in results]


def test_two_runs_with_everything_switched_on_are_identical(tmp_path: Path) -> None:
    dataset = put_cifar(tmp_path, "cifar10")
    one, other = (figures_of(train_on(dataset, tmp_path, **EVERYTHING)) for _ in range(2))
    assert one == other
    assert figures_of(train_on(dataset, tmp_path, **EVERYTHING, seed=1)) != one


def train_with_limit(
    monkeypatch: pytest.MonkeyPatch, limit_bytes: int, dataset: Dataset, datasets_dir: Path, **raw: object
) -> tuple[list[dict[str, object]], object]:
    control = CollectingControl()
    with monkeypatch.context() as patch:
        patch.setattr("trainers.data._measure_room", lambda _: limit_bytes)
        return figures_of(train_on(dataset, datasets_dir, control, **raw)), control.facts["data_on"]


def test_images_that_stay_on_the_host_give_the_same_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = put_cifar(tmp_path, "cifar10")
    resident, place = train_with_limit(monkeypatch, 10**9, dataset, tmp_path, **EVERYTHING)
    assert place == "device"
    streamed, place = train_with_limit(monkeypatch, 0, dataset, tmp_path, **EVERYTHING)
    assert place == "host"
    assert streamed == resident


def test_images_that_stay_in_their_files_give_the_same_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = put_folder(tmp_path)
    wanted = {**EVERYTHING, "image_folder": "photos", "image_side": 16}
    resident, place = train_with_limit(monkeypatch, 10**9, dataset, tmp_path, **wanted)
    assert place == "device"
    streamed, place = train_with_limit(monkeypatch, 0, dataset, tmp_path, **wanted)
    assert place == "files"
    assert streamed == resident


def test_worker_processes_decode_the_same_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = put_folder(tmp_path)
    wanted = {"image_folder": "photos", "image_side": 16, "augmentation": "crop"}
    alone, _ = train_with_limit(monkeypatch, 0, dataset, tmp_path, **wanted)
    monkeypatch.setattr("trainers.folders._IMAGES_PER_WORKER", 1)
    assert train_with_limit(monkeypatch, 0, dataset, tmp_path, **wanted)[0] == alone


def test_a_folder_without_a_test_split_gets_a_fixed_one(tmp_path: Path) -> None:
    put_folder(tmp_path)
    hyper_params = CnnHyperParams(dataset="image_folder", image_folder="photos/train", image_side=8)
    one, again = (
        load_data(DATASETS["image_folder"], tmp_path, hyper_params, device="cpu", say=print) for _ in range(2)
    )
    assert (len(one.train), len(one.test), one.classes) == (10, 2, 2)
    for (images, labels), (others, same) in zip(one.test.load_all(9), again.test.load_all(9), strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, same)
        # Blue comes before red by name; the channels are red, green, blue.
        assert torch.equal((images[:, 0, 4, 4] > 128).long(), labels)


@pytest.mark.parametrize("limit_bytes", [0, 10**9])
def test_a_rank_may_have_one_image_or_none_of_a_folder(tmp_path: Path, limit_bytes: int) -> None:
    put_folder(tmp_path)
    hyper_params = CnnHyperParams(dataset="image_folder", image_folder="photos/train", image_side=8)
    data = load_data(
        DATASETS["image_folder"], tmp_path, hyper_params, device="cpu", say=print, limit_bytes=limit_bytes
    )
    parts = [list(data.test.narrow(start, end).load_all(9)) for start, end in ((0, 0), (0, 1), (1, 2))]
    assert [len(images) for part in parts for images, _ in part] == [1, 1]
    drawn = Draw(torch.arange(3))
    shares = list(data.train.load([drawn.every(2, start=0), drawn.every(4, start=3)]))
    assert [images.shape for images, _ in shares] == [(2, 3, 8, 8), (0, 3, 8, 8)]


@pytest.mark.parametrize("limit_bytes", [0, 10**9])
def test_a_file_that_is_no_image_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit_bytes: int
) -> None:
    dataset = put_folder(tmp_path)
    (tmp_path / "photos" / "train" / "red" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DatasetUnavailable, match=r"broken\.png cannot be read as an image"):
        train_with_limit(monkeypatch, limit_bytes, dataset, tmp_path, image_folder="photos", image_side=8)


def test_a_link_out_of_the_datasets_folder_is_refused(tmp_path: Path) -> None:
    put_folder(tmp_path / "elsewhere")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "photos").symlink_to(tmp_path / "elsewhere" / "photos")
    with pytest.raises(DatasetUnavailable, match="leads out of"):
        train_on(DATASETS["image_folder"], tmp_path / "datasets", image_folder="photos")


@pytest.mark.parametrize("folder", ["absent", "photos/train/red", "empty"])
def test_a_folder_without_classes_is_told_how_it_should_look(tmp_path: Path, folder: str) -> None:
    put_folder(tmp_path)
    (tmp_path / "empty" / "a").mkdir(parents=True)
    (tmp_path / "empty" / "b").mkdir()
    with pytest.raises(DatasetUnavailable, match="<class>/<image>"):
        train_on(DATASETS["image_folder"], tmp_path, image_folder=folder)


def test_a_gpu_that_is_too_small_is_told_with_sizes_and_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = (
        "CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which "
        "7.00 GiB is free. Process 1 has 1.00 GiB memory in use. See documentation for Memory Management"
    )

    def fail(self: Training) -> None:
        raise torch.OutOfMemoryError(message)

    monkeypatch.setattr(Training, "learn_batch", fail)
    with pytest.raises(TrainingFailed) as caught:
        train_on(DATASETS["digits"], tmp_path, batch_size=64)
    said = str(caught.value)
    assert "small_cnn with batch_size 64" in said
    assert "Tried to allocate 9.00 GiB. GPU 0 has a total capacity of 8.00 GiB" in said
    assert "See documentation" not in said
    assert said.endswith("Try batch_size 32 or a smaller network.")


def test_compiling_leaves_the_training_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    modes = []

    def compile_nothing(network: torch.nn.Module, *, mode: str, dynamic: bool) -> torch.nn.Module:
        modes.append((mode, dynamic))
        return network

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr("trainers.cnn.prepare_device", lambda *_, **__: None)
    dataset = put_cifar(tmp_path, "cifar10")
    control = CollectingControl()
    compiled = figures_of(train_on(dataset, tmp_path, control, **EVERYTHING, compile="cuda_graphs"))
    assert compiled == figures_of(train_on(dataset, tmp_path, **EVERYTHING))
    assert modes == [("reduce-overhead", False)]
    assert isinstance(control.facts["compile_s"], float)


def test_relu_after_pooling_is_relu_before_pooling() -> None:
    network = build_network("small_cnn", channels=1, side=8, classes=10, seed=0)
    images = torch.rand(16, 1, 8, 8)
    parameters = list(network.parameters())
    features = images
    for weight, bias in (parameters[0:2], parameters[2:4]):
        features = max_pool2d(conv2d(features, weight, bias, padding=1).relu(), 2)
    expected = network.classifier(features)  # type: ignore[operator] # a module, which its class declares
    assert torch.equal(network(images), expected)
    gradients = torch.autograd.grad(expected.square().sum(), parameters)
    for mine, theirs in zip(
        torch.autograd.grad(network(images).square().sum(), parameters), gradients, strict=True
    ):
        assert torch.equal(mine, theirs)
