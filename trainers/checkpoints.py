"""Where the checkpoints of a run are kept: the last two, each complete or not there at all.

A checkpoint is a folder ``step-<n>`` with ``state.safetensors`` and ``state.json``. The JSON carries the
SHA-256 of the tensors, so that a kill between the two files cannot mix two steps.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import fsspec

from errors import CheckpointInvalid
from trainers.encoding import State, decode_state, encode_state

log = logging.getLogger(__name__)

FORMAT: Final = 1
KEPT: Final = 2
TENSORS_FILE, STATE_FILE = "state.safetensors", "state.json"
_NAME = re.compile(r"step-(\d{12})")


class Checkpoint(NamedTuple):
    """A training's state after ``step`` optimiser steps."""

    step: int
    state: State


class Folder(Protocol):
    """A place for complete sets of files."""

    def list_names(self) -> list[str]:
        """Return the names of the sets that are there, in any order."""

    def read(self, name: str, file: str) -> bytes:
        """Return a file. Raises OSError when it is not there."""

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write a set whose last file makes it complete; an earlier set of that name is replaced."""

    def delete(self, name: str) -> None:
        """Delete a set."""


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint and drop all but the last two. Raises OSError, and the others stay whole."""
        tensors, state = encode_state(checkpoint.state)
        digest = hashlib.sha256(tensors).hexdigest()
        head = {"format": FORMAT, "step": checkpoint.step, "sha256": digest, "state": state}
        document = json.dumps(head, allow_nan=False, separators=(",", ":")).encode()
        self._folder.write(f"step-{checkpoint.step:012d}", {TENSORS_FILE: tensors, STATE_FILE: document})
        for step in sorted(self._steps())[:-KEPT]:
            self._folder.delete(f"step-{step:012d}")

    def find_newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint; None without one. A torn one is logged and passed over."""
        for step in sorted(self._steps(), reverse=True):
            try:
                return Checkpoint(step, self._load(f"step-{step:012d}", step))
            except CheckpointInvalid as error:
                log.warning("checkpoint passed over step=%d: %s", step, error)
        return None

    def _load(self, name: str, step: int) -> State:
        try:
            head = json.loads(self._folder.read(name, STATE_FILE))
            tensors = self._folder.read(name, TENSORS_FILE)
        except (OSError, ValueError) as error:
            raise CheckpointInvalid(f"{name} is not complete: {error}") from error
        if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("step") != step:
            raise CheckpointInvalid(f"{name} was not written by this version of Wattle.")
        if head.get("sha256") != hashlib.sha256(tensors).hexdigest():
            raise CheckpointInvalid(f"{name} is torn: {TENSORS_FILE} is not the file {STATE_FILE} names.")
        return decode_state(tensors, head.get("state"))

    def _steps(self) -> Iterator[int]:
        for name in self._folder.list_names():
            if match := _NAME.fullmatch(name):
                yield int(match[1])


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
        try:
            temporary.mkdir()
            for file, content in files.items():
                with (temporary / file).open("wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            _sync(temporary)
            self.delete(name)
            temporary.rename(self._root / name)
            _sync(self._root)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def delete(self, name: str) -> None:
        """Delete a folder; one that is not there is no error."""
        shutil.rmtree(self._root / name, ignore_errors=True)


class RemoteFolder:
    """Folders of any file system fsspec knows, complete by their last file: object stores cannot rename."""

    def __init__(self, url: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(url)

    def list_names(self) -> list[str]:
        """Return the names that are there."""
        try:
            return [
                str(path).rstrip("/").rsplit("/", 1)[-1] for path in self._files.ls(self._root, detail=False)
            ]
        except FileNotFoundError:
            return []

    def read(self, name: str, file: str) -> bytes:
        """Return a file."""
        content: bytes = self._files.cat_file(f"{self._root}/{name}/{file}")
        return content

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write the files in their order."""
        self._files.makedirs(f"{self._root}/{name}", exist_ok=True)
        for file, content in files.items():
            self._files.pipe_file(f"{self._root}/{name}/{file}", content)
        self._files.invalidate_cache(self._root)

    def delete(self, name: str) -> None:
        """Delete a folder; one that is not there is no error."""
        if self._files.exists(f"{self._root}/{name}"):
            self._files.rm(f"{self._root}/{name}", recursive=True)


def open_checkpoints(url: str, run_id: str) -> Checkpoints:
    """Return the checkpoints of a run under ``url``: a path of this machine, or any URL fsspec knows."""
    if urlsplit(url).scheme in ("", "file"):
        return Checkpoints(LocalFolder(Path(urlsplit(url).path) / run_id))
    return Checkpoints(RemoteFolder(f"{url.rstrip('/')}/{run_id}"))


def _sync(folder: Path) -> None:
    """Bring a folder's entries to disk, without which a rename may be lost in a crash of the host."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
