"""The datasets: shapes, files under ``<data dir>/datasets``, and where the files come from. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class DataFile:
    """A file that is read; ``path`` is relative to the datasets' folder. None means not checked."""

    path: str
    size_bytes: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Archive:
    """A published file: a .gz holds one data file, a .tar.gz several, any other is the data file itself."""

    path: str
    urls: tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class Dataset:
    """A dataset with fixed train and test splits. Images are ``side`` x ``side`` x ``channels``."""

    name: str
    title: str
    file_format: Literal["embedded", "idx", "cifar", "svhn", "folder", "generated"]
    channels: int
    side: int
    classes: int
    train_files: tuple[DataFile, ...] = ()
    test_files: tuple[DataFile, ...] = ()
    archives: tuple[Archive, ...] = ()
    class_names: tuple[str, ...] = ()
    """In the order of the labels; empty where they are not known before the files are read."""
    licence: str | None = None
    licence_source: str | None = None

    @property
    def split_rule(self) -> str:
        """Where the test images come from, as a sentence."""
        return _SPLIT_RULES.get(self.file_format, "The published test split.")

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Every file that has to be on disk."""
        return self.train_files + self.test_files


_SPLIT_RULES: Mapping[str, str] = {
    "embedded": "The first 36 images of each class, by the permutation of numpy.random.RandomState(0).",
    "folder": "The folder's own folder test; without one, the first fifth of its files, sorted by class and "
    "name, by the permutation of numpy.random.RandomState(0).",
    "generated": "Generated after the training images, from the same stream of numpy.random.RandomState(0).",
}


def is_on_disk(dataset: Dataset, datasets_dir: Path) -> bool:
    """Return True when every file is there with its right size, or comes with scikit-learn."""
    return not list_missing(dataset, datasets_dir)


def list_missing(dataset: Dataset, datasets_dir: Path) -> list[DataFile]:
    """List the files that are absent or have the wrong size, as a broken copy has."""
    return [file for file in dataset.files if not _is_there(datasets_dir / file.path, file.size_bytes)]


def _is_there(path: Path, size_bytes: int | None) -> bool:
    return path.is_file() and (size_bytes is None or path.stat().st_size == size_bytes)


def default_dataset(datasets_dir: Path, preferred: str | None) -> str:
    """Return the dataset of runs that name none: the preferred one, else mnist if on disk, else digits."""
    if preferred is not None:
        return preferred.strip().lower()
    return "mnist" if is_on_disk(DATASETS["mnist"], datasets_dir) else "digits"


# Addresses and MD5 sums. Source: torchvision 0.28, torchvision/datasets/{mnist,cifar,svhn}.py; the folders
# are torchvision's too, so that files it has fetched are found.
_KRIZHEVSKY = "https://www.cs.toronto.edu/~kriz/"
_NETZER = "http://ufldl.stanford.edu/housenumbers/"


def _idx(
    name: str,
    title: str,
    folder: str,
    mirrors: tuple[str, ...],
    md5s: tuple[str, ...],
    class_names: tuple[str, ...],
    licence: tuple[str, str],
) -> Dataset:
    """Describe a dataset in MNIST's four files; a file is a header and one byte for each pixel or label."""
    files = (
        DataFile(f"{folder}/raw/train-images-idx3-ubyte", 16 + 60_000 * 28 * 28),
        DataFile(f"{folder}/raw/train-labels-idx1-ubyte", 8 + 60_000),
        DataFile(f"{folder}/raw/t10k-images-idx3-ubyte", 16 + 10_000 * 28 * 28),
        DataFile(f"{folder}/raw/t10k-labels-idx1-ubyte", 8 + 10_000),
    )
    archives = tuple(
        Archive(f"{file.path}.gz", tuple(f"{mirror}{Path(file.path).name}.gz" for mirror in mirrors), md5)
        for file, md5 in zip(files, md5s, strict=True)
    )
    return Dataset(
        name,
        title,
        "idx",
        channels=1,
        side=28,
        classes=10,
        train_files=files[:2],
        test_files=files[2:],
        archives=archives,
        class_names=class_names,
        licence=licence[0],
        licence_source=licence[1],
    )


def _cifar(
    name: str,
    title: str,
    classes: int,
    archive: Archive,
    train: dict[str, str],
    test: dict[str, str],
    class_names: tuple[str, ...] = (),
) -> Dataset:
    """Describe a dataset in CIFAR's batches, given as path and MD5 sum."""
    return Dataset(
        name,
        title,
        "cifar",
        channels=3,
        side=32,
        classes=classes,
        train_files=tuple(DataFile(path, md5=md5) for path, md5 in train.items()),
        test_files=tuple(DataFile(path, md5=md5) for path, md5 in test.items()),
        archives=(archive,),
        class_names=class_names,
    )


_DIGIT_NAMES = tuple("0123456789")
_DIGITS = Dataset(
    "digits",
    "scikit-learn digits, 8 x 8",
    "embedded",
    channels=1,
    side=8,
    classes=10,
    class_names=_DIGIT_NAMES,
)
_MNIST = _idx(
    "mnist",
    "MNIST, handwritten digits, 28 x 28",
    "MNIST",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    _DIGIT_NAMES,
    ("CC BY-SA 3.0", "https://keras.io/api/datasets/mnist/"),
)
_FASHION_MNIST = _idx(
    "fashion_mnist",
    "Fashion-MNIST, pieces of clothing, 28 x 28",
    "FashionMNIST",
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    # Source: the table "Labels" of https://github.com/zalandoresearch/fashion-mnist.
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    ("MIT", "https://github.com/zalandoresearch/fashion-mnist/blob/master/LICENSE"),
)
_CIFAR10 = _cifar(
    "cifar10",
    "CIFAR-10, photos in 10 classes, 32 x 32",
    10,
    Archive(
        "cifar-10-python.tar.gz",
        (f"{_KRIZHEVSKY}cifar-10-python.tar.gz",),
        "c58f30108f718f92721af3b95e74349a",
    ),
    {
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    {"cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e"},
    # Source: batches.meta of the archive.
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
_CIFAR100 = _cifar(
    "cifar100",
    "CIFAR-100, photos in 100 classes, 32 x 32",
    100,
    Archive(
        "cifar-100-python.tar.gz",
        (f"{_KRIZHEVSKY}cifar-100-python.tar.gz",),
        "eb9058c3a382ffc7106e4002c42a8d85",
    ),
    {"cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d"},
    {"cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
)
_SVHN = Dataset(
    "svhn",
    "SVHN, house numbers, 32 x 32",
    "svhn",
    channels=3,
    side=32,
    classes=10,
    train_files=(DataFile("train_32x32.mat", md5="e26dedcc434d2e4c54c9b2d4a06d8373"),),
    test_files=(DataFile("test_32x32.mat", md5="eb5a983be6a315427106f1b164d9cef3"),),
    archives=(
        Archive("train_32x32.mat", (f"{_NETZER}train_32x32.mat",), "e26dedcc434d2e4c54c9b2d4a06d8373"),
        Archive("test_32x32.mat", (f"{_NETZER}test_32x32.mat",), "eb5a983be6a315427106f1b164d9cef3"),
    ),
    class_names=_DIGIT_NAMES,
    licence="for non-commercial use only",
    licence_source="http://ufldl.stanford.edu/housenumbers/",
)

# The folder itself says how many classes there are, and the run how large its images become.
_IMAGE_FOLDER = Dataset("image_folder", "a folder of images", "folder", channels=3, side=0, classes=0)
_FAKE = Dataset("fake", "generated images, 32 x 32", "generated", channels=3, side=32, classes=10)

DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (_DIGITS, _MNIST, _FASHION_MNIST, _CIFAR10, _CIFAR100, _SVHN, _IMAGE_FOLDER, _FAKE)
}
