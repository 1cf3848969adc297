"""Places for files that belong together: a set is there as a whole, or not at all. No torch."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import urlsplit

import fsspec
from fsspec.dircache import DirCache

_TEMPORARY = re.compile(r"\.(.+)\.\d+")
_PIECE = 1 << 20
# So much of a file is in memory; drivers' own are up to 50 MiB. Parts of a file of S3 have at least 5.
_BLOCK = 8 << 20
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci")
_TRIES = 20


class Folder(Protocol):
    """A place for complete sets of files. Whatever fails in it is an OSError."""

    def list_names(self) -> list[str]:
        """Return the names of the sets that are there, in any order."""

    def read(self, name: str, file: str) -> bytes:
        """Return a file. Raises OSError when it is not there."""

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write a set whose last file makes it complete; an earlier set of that name is replaced."""

    def open(self, name: str, file: str) -> BinaryIO:
        """Open a file for reading. Raises OSError when it is not there."""

    def replace(self, name: str, file: str, content: bytes) -> None:
        """Write one file of a set anew; readers see the old one or the new one."""

    def measure(self, name: str) -> int:
        """Return how many bytes a set has; 0 when it is not there. Raises OSError."""

    def add(self, name: str, file: str) -> AbstractContextManager[BinaryIO]:
        """Write a file of a set piece by piece, to be read back before it is whole.

        It is there once the block ends; when that raises, nothing of it is. Raises OSError.
        """

    def remove(self, name: str, file: str) -> None:
        """Delete a file of a set, whole or half written, if it is there. Raises OSError."""

    def delete(self, name: str) -> None:
        """Delete a set."""

    def list_ours(self, is_ours: Callable[[str], bool]) -> list[str]:
        """Return what ``clear`` would delete: the sets that are ours, and what is left of half a set."""

    def clear(self, is_ours: Callable[[str], bool]) -> None:
        """Delete the sets whose name is ours, and the folder once it is empty.

        Checkpoints and models may share it. Raises OSError when something of ours is left.
        """


class LocalFolder:
    """Folders on this machine, complete by a rename."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list_names(self) -> list[str]:
        """Return the names that are there."""
        return [path.name for path in self._root.iterdir()] if self._root.is_dir() else []

    def read(self, name: str, file: str) -> bytes:
        """Return a file."""
        return (self._root / name / file).read_bytes()

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write all files into a temporary folder and rename it, each step on disk before the next."""
        self._root.mkdir(parents=True, exist_ok=True)
        temporary = self._root / f".{name}.{os.getpid()}"
        # What a killed process of the same number has left: in a container numbers come again.
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            for file, content in files.items():
                _write(temporary / file, content)
            sync_folder(temporary)
            self.delete(name)
            temporary.rename(self._root / name)
            sync_folder(self._root)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def open(self, name: str, file: str) -> BinaryIO:
        """Open a file."""
        return (self._root / name / file).open("rb")

    def replace(self, name: str, file: str, content: bytes) -> None:
        """Write the file beside the old one and rename it."""
        temporary = self._root / name / f".{file}.{os.getpid()}"
        try:
            _write(temporary, content)
            temporary.replace(self._root / name / file)
            sync_folder(self._root / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def measure(self, name: str) -> int:
        """Add up the files of a folder."""
        try:
            return sum(path.stat().st_size for path in (self._root / name).rglob("*") if path.is_file())
        except FileNotFoundError:
            return 0  # deleted while it was measured

    @contextmanager
    def add(self, name: str, file: str) -> Iterator[BinaryIO]:
        """Write the file under another name and rename it, each step on disk before the next."""
        folder = self._root / name
        temporary = folder / f".{file}.part"
        stream = _open_new(temporary)
        try:
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.rename(folder / file)
            # The run's folder may be new, too.
            for parent in (folder, self._root, *list(self._root.parents)[:2]):
                sync_folder(parent)
        except BaseException:
            self.remove(name, file)
            raise

    def remove(self, name: str, file: str) -> None:
        """Delete the file, and folders that are empty then."""
        folder = self._root / name
        (folder / f".{file}.part").unlink(missing_ok=True)
        (folder / file).unlink(missing_ok=True)
        # Not empty, or gone already.
        with suppress(OSError):
            folder.rmdir()
            self._root.rmdir()

    def delete(self, name: str) -> None:
        """Delete a folder; one that is not there is no error."""
        _remove(self._root / name)

    def list_ours(self, is_ours: Callable[[str], bool]) -> list[str]:
        """Return them; what a killed process has left is named after the set it was to become."""
        try:
            names = [path.name for path in self._root.iterdir()]
        except FileNotFoundError:
            return []
        temporaries = {name: _TEMPORARY.fullmatch(name) for name in names}
        return [name for name, match in temporaries.items() if is_ours(match[1] if match else name)]

    def clear(self, is_ours: Callable[[str], bool]) -> None:
        """Delete them; others may do so at the same time."""
        for name in self.list_ours(is_ours):
            _remove(self._root / name)
        with suppress(FileNotFoundError):
            if not any(self._root.iterdir()):
                self._root.rmdir()


class RemoteFolder:
    """Folders of any file system fsspec knows, complete by their last file: object stores cannot rename."""

    def __init__(self, url: str) -> None:
        with _os_errors(urlsplit(url).scheme):
            self._files, self._root = fsspec.core.url_to_fs(url)
        _remember_no_listing(self._files)
        self._has_folders = urlsplit(url).scheme not in _OBJECT_STORES

    def list_names(self) -> list[str]:
        """Return the names that are there."""
        with _os_errors(self._root):
            self._files.invalidate_cache(self._root)
            try:
                paths = self._files.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return [str(path).rstrip("/").rsplit("/", 1)[-1] for path in paths]

    def read(self, name: str, file: str) -> bytes:
        """Return a file."""
        with _os_errors(self._root):
            content: bytes = self._files.cat_file(f"{self._root}/{name}/{file}")
        return content

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write the files in their order, after the file that makes an earlier set complete is gone."""
        *_, completing = files
        with _os_errors(self._root):
            self._files.invalidate_cache(self._root)
            if self._files.exists(f"{self._root}/{name}/{completing}"):
                self._files.rm_file(f"{self._root}/{name}/{completing}")
            self._make(name)
            for file, content in files.items():
                self._files.pipe_file(f"{self._root}/{name}/{file}", content)
            self._files.invalidate_cache(self._root)

    def open(self, name: str, file: str) -> BinaryIO:
        """Open a file."""
        with _os_errors(self._root):
            path = f"{self._root}/{name}/{file}"
            return cast("BinaryIO", self._files.open(path, "rb", block_size=_BLOCK))

    def replace(self, name: str, file: str, content: bytes) -> None:
        """Write the file; an object store shows it when it is complete."""
        with _os_errors(self._root):
            self._files.pipe_file(f"{self._root}/{name}/{file}", content)

    def measure(self, name: str) -> int:
        """Add up the files of a folder."""
        with _os_errors(self._root):
            try:
                size_bytes: int = self._files.du(f"{self._root}/{name}", total=True)
            except FileNotFoundError:
                return 0
        return size_bytes

    @contextmanager
    def add(self, name: str, file: str) -> Iterator[BinaryIO]:
        """Write the file on this machine, under no name, and send it once it is whole."""
        with tempfile.TemporaryFile() as stream:
            yield stream
            stream.seek(0)
            with _os_errors(self._root):
                try:
                    self._make(name)
                    path = f"{self._root}/{name}/{file}"
                    with self._files.open(path, "wb", block_size=_BLOCK) as remote:
                        shutil.copyfileobj(stream, remote, _PIECE)
                except BaseException:
                    with suppress(OSError):
                        self.remove(name, file)
                    raise

    def remove(self, name: str, file: str) -> None:
        """Delete the file; an object store has no folder that could be left."""
        with _os_errors(self._root), suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{name}/{file}")

    def delete(self, name: str) -> None:
        """Delete a folder; one that is not there is no error."""
        with _os_errors(self._root):
            if self._files.exists(f"{self._root}/{name}"):
                self._files.rm(f"{self._root}/{name}", recursive=True)

    def list_ours(self, is_ours: Callable[[str], bool]) -> list[str]:
        """Return them; nothing temporary is written here."""
        return list(filter(is_ours, self.list_names()))

    def clear(self, is_ours: Callable[[str], bool]) -> None:
        """Delete them; an object store has no folder that could be left."""
        for name in self.list_ours(is_ours):
            with suppress(FileNotFoundError):
                self.delete(name)
        if not self.list_names():
            with _os_errors(self._root):
                if self._files.exists(self._root):
                    self._files.rmdir(self._root)

    def _make(self, name: str) -> None:
        # Drivers of object stores would ask for the bucket each time, and create one that is not there.
        if self._has_folders:
            self._files.makedirs(f"{self._root}/{name}", exist_ok=True)


def open_folder(url: str, name: str) -> Folder:
    """Return the folder ``name`` under ``url``: a path of this machine, or any URL fsspec knows.

    Raises OSError when there is no driver for it, or the driver refuses.
    """
    with _os_errors("the URL"):
        parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return LocalFolder(Path(parts.path) / name)
    return RemoteFolder(f"{url.rstrip('/')}/{name}")


def _remember_no_listing(files: Any) -> None:
    """Have a driver ask each time: other processes write here, too, and it forgets no listing by itself."""
    listings = getattr(files, "dircache", None)
    if isinstance(listings, DirCache):
        listings.use_listings_cache = False
        listings.clear()


@contextmanager
def _os_errors(place: str) -> Iterator[None]:
    """Raise whatever a driver raises as OSError.

    Drivers are foreign code with errors of their own (botocore's, ftplib's, aiohttp's; ImportError without
    the driver), which have no common ancestor but Exception. A bug of theirs is a place that fails, too.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{place}: {type(error).__name__}: {error}") from error


def _open_new(path: Path) -> BinaryIO:
    """Open a file that is new, in a folder that others may delete meanwhile because it is empty."""
    for _ in range(_TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("x+b")
        except FileNotFoundError:
            continue
        except FileExistsError:
            if path.parent.exists():
                raise
    raise FileNotFoundError(f"{path.parent} is being deleted by others all the time")


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _remove(folder: Path) -> None:
    """Delete a folder, also while somebody else deletes it, too. Raises OSError when something is left."""
    while True:
        try:
            return shutil.rmtree(folder)
        except FileNotFoundError:
            # Whoever deleted a file under our hands has come further: each round there are fewer.
            if not folder.exists():
                return None


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk, without which a rename may be lost in a crash of the host."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
