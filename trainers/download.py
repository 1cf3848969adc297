"""Fetch a dataset's files: whole and verified, or not at all."""

from __future__ import annotations

import gzip
import http.client
import shutil
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from errors import DatasetUnavailable
from trainers.datasets import Archive, Dataset, list_missing
from trainers.reading import compute_md5

Say = Callable[[str], None]

# Of one connection or one read: a host without a network gives up soon, a slow one may take its time.
_SILENCE_S = 10.0
_CHUNK_BYTES = 1 << 20
# A worker takes a trainer that says nothing for long for one that hangs.
PROGRESS_S = 30.0


def fetch_missing(dataset: Dataset, datasets_dir: Path, *, say: Say) -> None:
    """Download what is missing. A no-op when every file is there.

    Files appear in their place only after their archive's checksum was right, so a broken download is never
    taken for the dataset. Raises DatasetUnavailable, which says which files to put where.
    """
    if not list_missing(dataset, datasets_dir):
        return
    try:
        datasets_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{dataset.name}-", dir=datasets_dir) as folder:
            for archive in _list_needed(dataset, datasets_dir):
                _unpack(_obtain(archive, datasets_dir, Path(folder), say), archive, Path(folder))
            for file in list_missing(dataset, datasets_dir):
                target = datasets_dir / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / file.path).replace(target)
    except (OSError, http.client.HTTPException, tarfile.TarError, EOFError) as error:
        raise _unavailable(dataset, datasets_dir, error) from error


def _list_needed(dataset: Dataset, datasets_dir: Path) -> list[Archive]:
    missing = {file.path for file in list_missing(dataset, datasets_dir)}
    return [
        archive
        for archive in dataset.archives
        if archive.path.endswith(".tar.gz") or archive.path.removesuffix(".gz") in missing
    ]


def _obtain(archive: Archive, datasets_dir: Path, folder: Path, say: Say) -> Path:
    """Return the archive: the one that somebody has put there, else a fresh download."""
    placed, target, reasons = datasets_dir / archive.path, folder / archive.path, []
    if placed.is_file():
        if compute_md5(placed) == archive.md5:
            return placed
        reasons.append(f"{placed}: the checksum is wrong")
    target.parent.mkdir(parents=True, exist_ok=True)
    for url in archive.urls:
        say(f"downloading {url}")
        try:
            _download(url, target, say)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {error}")
            continue
        if compute_md5(target) == archive.md5:
            say(f"downloaded {target.stat().st_size / 1e6:.1f} MB, checksum right")
            return target
        reasons.append(f"{url}: the checksum is wrong")
    raise OSError("; ".join(reasons))


def _download(url: str, target: Path, say: Say) -> None:
    said_s, size_bytes = time.monotonic(), 0
    with (
        urllib.request.urlopen(url, timeout=_SILENCE_S) as answer,  # noqa: S310 - only addresses of our own table
        target.open("wb") as stream,
    ):
        while chunk := answer.read(_CHUNK_BYTES):
            size_bytes += stream.write(chunk)
            if time.monotonic() - said_s > PROGRESS_S:
                said_s = time.monotonic()
                say(f"{size_bytes / 1e6:.0f} MB so far")


def _unpack(path: Path, archive: Archive, folder: Path) -> None:
    if archive.path.endswith(".tar.gz"):
        with tarfile.open(path) as tar:
            tar.extractall(folder, filter="data")
    elif archive.path.endswith(".gz"):
        target = folder / archive.path.removesuffix(".gz")
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path) as source, target.open("wb") as stream:
            shutil.copyfileobj(source, stream, _CHUNK_BYTES)


def _unavailable(dataset: Dataset, datasets_dir: Path, error: Exception) -> DatasetUnavailable:
    files = ", ".join(file.path for file in dataset.files)
    archives = ", ".join(f"{archive.path} (from {archive.urls[0]})" for archive in dataset.archives)
    return DatasetUnavailable(
        f"The dataset {dataset.name} is not on disk and cannot be downloaded: {error}. "
        f"Put these files into {datasets_dir.absolute()}: {files}; or as they are published: {archives}. "
        "Then start the run again, or use the dataset digits, which needs no files."
    )
