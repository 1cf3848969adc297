"""Fetch a dataset's files: whole and verified, or not at all; what may pass is tried again."""

from __future__ import annotations

import gzip
import http.client
import shutil
import ssl
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

from errors import DatasetUnavailable, DownloadInterrupted
from trainers.datasets import Archive, Dataset, list_missing
from trainers.reading import compute_md5

Say = Callable[[str], None]

# Of one connection or one read: a host without a network gives up soon, a slow one may take its time.
_SILENCE_S = 10.0
_CHUNK_BYTES = 1 << 20
# Between rounds over the addresses. After the last one the run's own back-off goes on, which holds no worker.
PAUSES_S = (1.0, 3.0)
# What a server says that may answer otherwise soon; of the rest, only its own errors (5xx).
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
# A worker takes a trainer that says nothing for long for one that hangs.
PROGRESS_S = 30.0


class _Passing(OSError):
    """No address gave the archive, and at least one of them may do so soon."""


def fetch_missing(
    dataset: Dataset, datasets_dir: Path, *, say: Say, pauses_s: Sequence[float] = PAUSES_S
) -> None:
    """Download what is missing. A no-op when every file is there.

    Files appear in their place only after their archive's checksum was right, so a broken download is never
    taken for the dataset. What may pass is tried again after each of ``pauses_s``. Raises DatasetUnavailable,
    which says which files to put where; DownloadInterrupted when it may still go well later.
    """
    if not list_missing(dataset, datasets_dir):
        return
    try:
        datasets_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{dataset.name}-", dir=datasets_dir) as folder:
            for archive in _list_needed(dataset, datasets_dir):
                path = _obtain(archive, datasets_dir, Path(folder), say, pauses_s)
                _unpack(path, archive, Path(folder))
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


def _obtain(archive: Archive, datasets_dir: Path, folder: Path, say: Say, pauses_s: Sequence[float]) -> Path:
    """Return the archive: the one that somebody has put there, else a fresh download."""
    placed, target = datasets_dir / archive.path, folder / archive.path
    wrong = ""
    if placed.is_file():
        if compute_md5(placed) == archive.md5:
            return placed
        wrong = f"{placed}: the checksum is wrong; "
    target.parent.mkdir(parents=True, exist_ok=True)
    for pause_s in (*pauses_s, None):
        try:
            _try_each(archive, target, say)
        except _Passing as error:
            if pause_s is None:
                raise _Passing(f"{wrong}{error}") from error
            say(f"the download failed and is tried again in {pause_s:g} s: {error}")
            time.sleep(pause_s)
        except OSError as error:
            raise OSError(f"{wrong}{error}") from error
        else:
            break
    return target


def _try_each(archive: Archive, target: Path, say: Say) -> None:
    """Download the archive from the first address that has it. Raises _Passing, or OSError, with reasons."""
    reasons, is_passing = [], False
    for url in archive.urls:
        say(f"downloading {url}")
        try:
            _download(url, target, say)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {error}")
            is_passing = is_passing or _may_pass(error)
            continue
        if compute_md5(target) == archive.md5:
            say(f"downloaded {target.stat().st_size / 1e6:.1f} MB, checksum right")
            return
        reasons.append(f"{url}: the checksum is wrong")
    raise (_Passing if is_passing else OSError)("; ".join(reasons))


def _may_pass(error: Exception) -> bool:
    """Whether the network or the other side failed; not what it says for good, nor the disk here."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _PASSING or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    if isinstance(error, urllib.error.URLError):
        return not isinstance(error.reason, ssl.SSLCertVerificationError)
    passing = ConnectionError | TimeoutError | ssl.SSLError | http.client.HTTPException
    return isinstance(error, passing)


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
        # Read in pieces, an answer that was cut off looks like a short one.
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)


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
    kind = DownloadInterrupted if isinstance(error, _Passing) else DatasetUnavailable
    return kind(
        f"The dataset {dataset.name} is not on disk and cannot be downloaded: {error}. "
        f"Put these files into {datasets_dir.absolute()}: {files}; or as they are published: {archives}. "
        "Then start the run again, or use the dataset digits, which needs no files."
    )
