"""Places hold sets that are whole or not there, and whatever fails in one is an OSError."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from schema import Checkpoint
from trainers.checkpoint_names import is_checkpoint
from trainers.checkpoints import open_checkpoints
from trainers.places import Folder, RemoteFolder, open_folder
from trainers.saved_models import CARD_FILE, MODEL_FILE, open_models


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return open_folder(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}", "run1")


def test_a_file_of_a_set_is_replaced_and_everything_is_cleared(folder: Folder) -> None:
    folder.clear(lambda _: True)
    folder.write("best", {"a": b"1", "b": b"22"})
    folder.replace("best", "b", b"333")
    with folder.open("best", "b") as stream:
        assert (stream.seek(0, os.SEEK_END), stream.seek(0), stream.read()) == (3, 0, b"333")
    assert folder.read("best", "a") == b"1"
    folder.clear(lambda _: True)
    assert folder.list_names() == []
    with pytest.raises(OSError, match="best"):
        folder.open("best", "a")


class Remembering(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
    """Files of this machine behind a driver that remembers listings, as those of object stores do."""

    protocol = "remembering"

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        """List a folder."""
        folder = self._strip_protocol(path)
        found = self.dircache[folder] if folder in self.dircache else super().ls(folder, True, **options)
        self.dircache[folder] = found
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **options: Any) -> Any:
        """Describe a file, as the listing of its folder does."""
        known = self._ls_from_cache(self._strip_protocol(path))
        return known[0] if known else super().info(path, **options)


def test_what_another_process_writes_is_seen_where_a_driver_remembers_listings(tmp_path: Path) -> None:
    fsspec.register_implementation(Remembering.protocol, Remembering, clobber=True)
    folder = open_folder(f"remembering://{tmp_path}", "run1")
    folder.write("best", {"a": b"1"})
    assert folder.measure("best") == 1
    (tmp_path / "run1" / "best" / "b").write_bytes(b"22")
    assert folder.measure("best") == 3
    (tmp_path / "run1" / "best" / "b").write_bytes(b"4444")
    assert folder.measure("best") == 5
    assert open_folder(f"remembering://{tmp_path}", "run1").measure("best") == 5


class Bucket(MemoryFileSystem):  # type: ignore[misc] # as above
    """A store that makes a bucket that is not there."""

    protocol = "oci"

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a bucket."""
        raise AssertionError(path, exist_ok)


def test_in_an_object_store_no_bucket_is_made(tmp_path: Path) -> None:
    fsspec.register_implementation(Bucket.protocol, Bucket, clobber=True)
    folder = open_folder(f"oci://{tmp_path.name}", "run1")
    folder.write("best", {"a": b"1"})
    with folder.add("a~b", "1") as stream:
        stream.write(b"whole")
    assert (folder.read("best", "a"), folder.read("a~b", "1")) == (b"1", b"whole")


def test_a_file_that_is_added_piece_by_piece_is_there_as_a_whole_or_not_at_all(folder: Folder) -> None:
    def add_half() -> None:
        with folder.add("a~b", "1") as stream:
            stream.write(b"half")
            raise EOFError

    with pytest.raises(EOFError):
        add_half()
    assert folder.measure("a~b") == 0
    with folder.add("a~b", "1") as stream:
        stream.write(b"whole")
        stream.seek(0)
        assert (stream.read(), folder.list_names() in ([], ["a~b"])) == (b"whole", True)
        with pytest.raises(OSError, match="1"):
            folder.open("a~b", "1")
    assert folder.read("a~b", "1") == b"whole"
    folder.remove("a~b", "2")
    folder.remove("a~b", "1")
    folder.remove("a~b", "1")
    assert folder.measure("a~b") == 0


def test_what_a_killed_process_of_the_same_number_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    leftover = tmp_path / "run1" / f".best.{os.getpid()}"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"torn")
    open_folder(str(tmp_path), "run1").write("best", {"a": b"1"})
    assert [path.name for path in (tmp_path / "run1" / "best").iterdir()] == ["a"]
    assert not leftover.exists()


def test_a_disk_that_is_full_leaves_the_earlier_model_whole(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path), "run1")
    folder.write("best", {MODEL_FILE: b"old", CARD_FILE: b"card"})
    previous_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            folder.write("best", {MODEL_FILE: b"x" * 100, CARD_FILE: b"new"})
        with pytest.raises(OSError, match="File too large"):
            folder.replace("best", CARD_FILE, b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous_handler)
    assert (folder.read("best", MODEL_FILE), folder.read("best", CARD_FILE)) == (b"old", b"card")
    assert [path.name for path in (tmp_path / "run1").iterdir()] == ["best"]


class DriverError(Exception):
    """What drivers raise: botocore's and ftplib's errors have no ancestor but Exception either."""


class Refusing(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """A driver whose store refuses everything."""

    protocol = "refusing"

    def _refuse(self, *_: object, **__: object) -> None:
        raise DriverError("Access Denied")

    ls = cat_file = exists = makedirs = pipe_file = rm_file = rm = open = _refuse


class HalfWay(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """A driver whose store goes away after the first file it is given."""

    protocol = "halfway"
    left = 1

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
        if HalfWay.left == 0:
            raise DriverError("connection reset")
        HalfWay.left -= 1
        super().pipe_file(path, value, mode)


@pytest.mark.parametrize(
    "do",
    [
        lambda folder: folder.list_names(),
        lambda folder: folder.read("best", "a"),
        lambda folder: folder.write("best", {"a": b"1"}),
        lambda folder: folder.open("best", "a"),
        lambda folder: folder.replace("best", "a", b"1"),
        lambda folder: folder.delete("best"),
        lambda folder: folder.clear(lambda _: True),
    ],
    ids=["list", "read", "write", "open", "replace", "delete", "clear"],
)
def test_whatever_a_driver_raises_is_an_os_error_that_names_it(do: Callable[[Folder], object]) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    with pytest.raises(OSError, match="DriverError: Access Denied") as caught:
        do(open_folder("refusing://place", "run1"))
    assert isinstance(caught.value.__cause__, DriverError)


@pytest.mark.parametrize("url", ["nosuch://models", "dropbox://models", "http://[::1"])
def test_a_place_without_a_driver_is_an_os_error(url: str) -> None:
    with pytest.raises(OSError, match="Error: "):
        open_folder(url, "run1")


def test_a_remote_set_that_is_replaced_half_way_is_not_complete(tmp_path: Path) -> None:
    fsspec.register_implementation("halfway", HalfWay, clobber=True)
    folder = open_folder(f"halfway://{tmp_path.name}", "run1")
    HalfWay.left = 2
    folder.write("best", {MODEL_FILE: b"old", CARD_FILE: b"card of the old"})
    HalfWay.left = 1
    with pytest.raises(OSError, match="connection reset"):
        folder.write("best", {MODEL_FILE: b"new", CARD_FILE: b"card of the new"})
    assert folder.read("best", MODEL_FILE) == b"new"
    with pytest.raises(FileNotFoundError):
        folder.read("best", CARD_FILE)


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_checkpoints_and_models_in_one_place_are_deleted_apart(kind: str, tmp_path: Path) -> None:
    url = str(tmp_path) if kind == "local" else f"memory://shared-{tmp_path.name}"
    folder, models, checkpoints = (
        open_folder(url, "run1"),
        open_models(url, "run1"),
        open_checkpoints(url, "run1"),
    )
    models.write("best", {CARD_FILE: b"{}"})
    checkpoints.save(Checkpoint(5, {"weights": torch.ones(1)}))
    folder.clear(is_checkpoint)
    assert folder.list_names() == ["best"]
    checkpoints.save(Checkpoint(5, {"weights": torch.ones(1)}))
    models.clear()
    assert folder.list_names() == ["step-000000000005"]
    folder.clear(is_checkpoint)
    if isinstance(folder, RemoteFolder):
        assert not fsspec.filesystem("memory").exists(f"/shared-{tmp_path.name}/run1")
    else:
        assert not (tmp_path / "run1").exists()


def test_what_a_killed_process_left_of_a_checkpoint_is_deleted_with_them(tmp_path: Path) -> None:
    for name in (".step-000000000005.123", ".best.123"):
        (tmp_path / "run1" / name).mkdir(parents=True)
    open_folder(str(tmp_path), "run1").clear(is_checkpoint)
    assert [path.name for path in (tmp_path / "run1").iterdir()] == [".best.123"]
    open_models(str(tmp_path), "run1").clear()
    assert not (tmp_path / "run1").exists()
