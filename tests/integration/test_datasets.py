"""Datasets from files in their published formats, through the real loading code."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from errors import DatasetUnavailable
from trainers.data import Data, Split, TensorSplit, load_data
from trainers.datasets import DATASETS, Archive, DataFile, Dataset, is_on_disk
from trainers.download import fetch_missing
from trainers.embedded import read_digits
from trainers.params import CnnHyperParams

RNG = np.random.default_rng(0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def make_images(count: int, dataset: Dataset) -> np.ndarray:
    return RNG.integers(0, 256, (count, dataset.channels, dataset.side, dataset.side), dtype=np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def idx_files(
    dataset: Dataset, counts: tuple[int, int]
) -> tuple[Dataset, dict[str, bytes], list[np.ndarray]]:
    """Small files under the dataset's real names, the table that describes them, and what is in them."""
    contents, images = {}, []
    for count, (image_file, label_file) in zip(
        counts, (dataset.train_files, dataset.test_files), strict=True
    ):
        images.append(make_images(count, dataset))
        contents[image_file.path] = idx_bytes(images[-1][:, 0])
        contents[label_file.path] = idx_bytes((np.arange(count) % 10).astype(np.uint8))
    table = replace(
        dataset,
        train_files=tuple(DataFile(f.path, len(contents[f.path])) for f in dataset.train_files),
        test_files=tuple(DataFile(f.path, len(contents[f.path])) for f in dataset.test_files),
        archives=tuple(
            replace(archive, md5=md5(gzip.compress(contents[archive.path.removesuffix(".gz")], mtime=0)))
            for archive in dataset.archives
        ),
    )
    return table, contents, images


def save_as_python_2(pickler: Any, value: str | bytes) -> None:
    """Pickle a string as Python 2 did, and as the published files have it."""
    content = value.encode() if isinstance(value, str) else value
    pickler.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
    pickler.memoize(value)


def cifar_file(images: np.ndarray, *, label_key: str) -> bytes:
    buffer = io.BytesIO()
    pickler: Any = pickle._Pickler(buffer, protocol=2)  # the one written in Python has a table to change
    pickler.dispatch = {**pickler.dispatch, str: save_as_python_2, bytes: save_as_python_2}
    labels = [index % 10 for index in range(len(images))]
    pickler.dump({"data": images.reshape(len(images), -1), label_key: labels})
    return buffer.getvalue()


def load(dataset: Dataset, datasets_dir: Path, validation_fraction: float = 0.0) -> Data:
    said: list[str] = []
    hyper_params = CnnHyperParams(validation_fraction=validation_fraction)
    return load_data(dataset, datasets_dir, hyper_params, device="cpu", say=said.append)


def tensors(split: Split) -> TensorSplit:
    assert isinstance(split, TensorSplit)
    return split


def same_images(tensor: torch.Tensor, array: np.ndarray) -> bool:
    return bool(np.array_equal(tensor.numpy(), array))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and the folder it shows."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    folder = tmp_path / "published"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/", folder
        http.shutdown()
        thread.join()


def published_by(dataset: Dataset, url: str) -> Dataset:
    return replace(
        dataset,
        archives=tuple(
            replace(archive, urls=(f"{url}{Path(archive.path).name}",)) for archive in dataset.archives
        ),
    )


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx_files_are_read(tmp_path: Path, name: str) -> None:
    table, contents, (train, test) = idx_files(DATASETS[name], (30, 10))
    for path, content in contents.items():
        put(tmp_path / path, content)
    data = load(table, tmp_path)
    assert same_images(tensors(data.train).images, train)
    assert same_images(tensors(data.test).images, test)
    assert tensors(data.train).labels.tolist() == [index % 10 for index in range(30)]
    assert tensors(data.train).images.is_contiguous(memory_format=torch.channels_last)
    assert data.mean.item() == pytest.approx(train.mean(), rel=1e-6)
    assert data.std.item() == pytest.approx(train.std(), rel=1e-6)


@pytest.mark.parametrize(("name", "label_key"), [("cifar10", "labels"), ("cifar100", "fine_labels")])
def test_cifar_batches_are_read_with_their_checksums(tmp_path: Path, name: str, label_key: str) -> None:
    dataset = DATASETS[name]
    images = {file.path: make_images(10, dataset) for file in dataset.files}
    contents = {path: cifar_file(batch, label_key=label_key) for path, batch in images.items()}
    for path, content in contents.items():
        put(tmp_path / path, content)
    table = replace(
        dataset,
        train_files=tuple(DataFile(f.path, md5=md5(contents[f.path])) for f in dataset.train_files),
        test_files=tuple(DataFile(f.path, md5=md5(contents[f.path])) for f in dataset.test_files),
    )
    data = load(table, tmp_path)
    assert same_images(
        tensors(data.train).images, np.concatenate([images[f.path] for f in dataset.train_files])
    )
    assert tensors(data.train).images.is_contiguous(memory_format=torch.channels_last)
    assert tensors(data.test).labels.tolist() == list(range(10))
    per_channel = np.concatenate([images[f.path] for f in dataset.train_files]).mean(axis=(0, 2, 3))
    assert data.mean.flatten().tolist() == pytest.approx(per_channel.tolist(), rel=1e-5)
    with pytest.raises(DatasetUnavailable, match="checksum is not the published one"):
        load(replace(table, test_files=dataset.test_files), tmp_path)


def test_svhn_files_are_read_and_their_tens_are_zeros(tmp_path: Path) -> None:
    from scipy.io import savemat  # type: ignore[import-untyped] # scipy ships no annotations

    dataset = DATASETS["svhn"]
    images = make_images(20, dataset)
    labels = (np.arange(20) % 10) + 1
    files = {}
    for file in dataset.files:
        buffer = io.BytesIO()
        savemat(buffer, {"X": images.transpose(2, 3, 1, 0), "y": labels.astype(np.uint8)[:, None]})
        put(tmp_path / file.path, buffer.getvalue())
        files[file.path] = DataFile(file.path, md5=md5(buffer.getvalue()))
    table = replace(
        dataset,
        train_files=(files[dataset.train_files[0].path],),
        test_files=(files[dataset.test_files[0].path],),
    )
    data = load(table, tmp_path)
    assert same_images(tensors(data.train).images, images)
    assert tensors(data.train).labels.tolist() == [*range(1, 10), 0] * 2


def test_a_pickle_that_names_a_function_is_refused_and_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "exploded",)

    dataset = DATASETS["cifar100"]
    for file in dataset.files:
        put(tmp_path / file.path, pickle.dumps({"data": Bomb()}, protocol=2))
    unchecked = replace(
        dataset,
        train_files=(DataFile(dataset.train_files[0].path),),
        test_files=(DataFile(dataset.test_files[0].path),),
    )
    with pytest.raises(DatasetUnavailable, match="which no dataset needs"):
        load(unchecked, tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"not idx at all",
        idx_bytes(np.zeros((30, 28, 28), np.uint8))[:-1],
        idx_bytes(np.zeros((30, 8, 8), np.uint8)),
        idx_bytes(np.zeros((29, 28, 28), np.uint8)),
    ],
    ids=["empty", "foreign", "cut", "wrong shape", "one image short"],
)
def test_a_broken_file_is_named(tmp_path: Path, broken: bytes) -> None:
    table, contents, _ = idx_files(DATASETS["mnist"], (30, 10))
    for path, content in contents.items():
        put(tmp_path / path, content)
    images = table.train_files[0]
    put(tmp_path / images.path, broken)
    unsized = replace(table, train_files=(DataFile(images.path), table.train_files[1]))
    with pytest.raises(DatasetUnavailable, match="train-images-idx3-ubyte cannot be used"):
        load(unsized, tmp_path)


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    table, contents, _ = idx_files(DATASETS["mnist"], (30, 10))
    contents[table.train_files[1].path] = idx_bytes(np.full(30, 10, np.uint8))
    for path, content in contents.items():
        put(tmp_path / path, content)
    with pytest.raises(DatasetUnavailable, match="not one of the 10 classes"):
        load(table, tmp_path)


def test_archives_that_a_person_has_placed_are_unpacked(tmp_path: Path) -> None:
    table, contents, (train, _) = idx_files(DATASETS["mnist"], (30, 10))
    nowhere = published_by(table, "http://127.0.0.1:1/")
    for path, content in contents.items():
        put(tmp_path / f"{path}.gz", gzip.compress(content, mtime=0))
    assert same_images(tensors(load(nowhere, tmp_path).train).images, train)
    assert is_on_disk(table, tmp_path)


def test_what_is_missing_is_downloaded_once(tmp_path: Path, server: tuple[str, Path]) -> None:
    url, folder = server
    table, contents, (train, _) = idx_files(DATASETS["mnist"], (30, 10))
    for path, content in contents.items():
        put(folder / f"{Path(path).name}.gz", gzip.compress(content, mtime=0))
    datasets_dir = tmp_path / "data" / "datasets"
    assert same_images(tensors(load(published_by(table, url), datasets_dir).train).images, train)
    assert sorted(path.name for path in datasets_dir.iterdir()) == ["MNIST"]
    nowhere = published_by(table, "http://127.0.0.1:1/")
    assert same_images(tensors(load(nowhere, datasets_dir).train).images, train)


def test_a_tar_is_downloaded_and_nothing_leaves_its_folder(tmp_path: Path, server: tuple[str, Path]) -> None:
    url, folder = server
    dataset = DATASETS["cifar100"]
    images = make_images(10, dataset)
    content = cifar_file(images, label_key="fine_labels")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for file in dataset.files:
            member = tarfile.TarInfo(file.path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    put(folder / "cifar.tar.gz", buffer.getvalue())
    table = replace(
        dataset,
        train_files=(DataFile(dataset.train_files[0].path, md5=md5(content)),),
        test_files=(DataFile(dataset.test_files[0].path, md5=md5(content)),),
        archives=(Archive("cifar.tar.gz", (f"{url}cifar.tar.gz",), md5(buffer.getvalue())),),
    )
    assert same_images(tensors(load(table, tmp_path / "datasets").train).images, images)


def test_a_broken_download_leaves_nothing_behind(tmp_path: Path, server: tuple[str, Path]) -> None:
    url, folder = server
    table, contents, _ = idx_files(DATASETS["mnist"], (30, 10))
    for path, content in contents.items():
        put(folder / f"{Path(path).name}.gz", gzip.compress(content, mtime=0))
    last = folder / f"{Path(list(contents)[-1]).name}.gz"
    last.write_bytes(last.read_bytes()[:-5])
    datasets_dir = tmp_path / "datasets"
    with pytest.raises(DatasetUnavailable, match="the checksum is wrong"):
        load(published_by(table, url), datasets_dir)
    assert list(datasets_dir.iterdir()) == []


def test_a_host_without_a_network_is_told_which_files_go_where(tmp_path: Path) -> None:
    dataset = published_by(DATASETS["fashion_mnist"], "http://127.0.0.1:1/")
    with pytest.raises(DatasetUnavailable) as caught:
        fetch_missing(dataset, tmp_path / "datasets", say=lambda _: None, pauses_s=())
    message = str(caught.value)
    assert str(tmp_path / "datasets") in message
    assert all(file.path in message for file in dataset.files)
    assert all(archive.urls[0] in message for archive in dataset.archives)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "datasets").write_text("a file, not a folder")
    with pytest.raises(DatasetUnavailable, match="datasets"):
        load(DATASETS["mnist"], tmp_path / "datasets")


def test_the_split_of_digits_is_fixed_and_stratified(tmp_path: Path) -> None:
    data = load(DATASETS["digits"], tmp_path)
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert torch.bincount(tensors(data.test).labels).tolist() == [36] * 10
    assert tensors(data.train).images.dtype == torch.uint8
    assert int(tensors(data.train).images.max()) == 240
    content = (
        tensors(data.test).images.contiguous().numpy().tobytes() + tensors(data.test).labels.numpy().tobytes()
    )
    assert hashlib.sha256(content).hexdigest() == DIGITS_TEST_SHA256


# The test split as documented in docs/trainers.md: results are only comparable while it stays the same.
DIGITS_TEST_SHA256 = "31efe32a3d6acc328e5e3cf7c41b50e4b9eb328c09e8c6682d31d771cd0c86f8"


def test_digits_are_those_of_scikit_learn_wherever_it_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_digits()
    monkeypatch.setattr("trainers.embedded.find_spec", lambda _: None)
    for ours, theirs in zip(found, read_digits(), strict=True):
        assert np.array_equal(ours.images, theirs.images)
        assert np.array_equal(ours.labels, theirs.labels)


def test_no_image_of_digits_is_in_two_splits(tmp_path: Path) -> None:
    data = load(DATASETS["digits"], tmp_path, validation_fraction=0.25)
    assert data.validation is not None
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1078, 359, 360]
    rows = torch.cat([tensors(split).images.flatten(1) for split in (data.train, data.validation, data.test)])
    assert len(torch.unique(rows, dim=0)) == len(rows) == 1797


def test_the_validation_part_is_the_same_every_time_and_leaves_the_test_split_alone(tmp_path: Path) -> None:
    one, again = (load(DATASETS["digits"], tmp_path, validation_fraction=0.1) for _ in range(2))
    whole = load(DATASETS["digits"], tmp_path)
    assert one.validation is not None
    assert again.validation is not None
    assert torch.equal(tensors(one.validation).images, tensors(again.validation).images)
    assert torch.equal(tensors(one.test).images, tensors(whole.test).images)
