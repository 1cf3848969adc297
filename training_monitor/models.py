"""A model of Wattle as a file on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from training_monitor.connection import Connection
from training_monitor.errors import MonitorError

_WANTED: Final = re.compile(r"([A-Za-z0-9_.-]{1,100})(?::([0-9]{1,9}))?")

# Of no other program: the folder may be anyone's.
_PART_PREFIX: Final = ".wattle-model-"
_PART_SUFFIX: Final = ".part"


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A version of a model, and where it is here."""

    name: str
    version: int
    path: Path


def default_models_folder() -> Path:
    """Return where models are kept: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wattle" / "models"


def fetch_model(api_url: str, wanted: str, folder: Path) -> UsedModel:
    """Bring a version of a model here, unless it is, and look whether all of it is as it was registered.

    wanted: ``name:version``; of a name alone it is the version in production, else the newest candidate.
    Raises MonitorError when there is no such model, or it cannot be had whole.
    """
    connection = Connection(api_url)
    try:
        found = _find(connection, wanted)
        name, version, artifact = str(found["name"]), int(found["version"]), found["artifact"]
        path = folder / f"{name}-{version}-{str(artifact['sha256'])[:12]}.safetensors"
        _clean(folder)
        if not _is_whole(path, artifact["sha256"]):
            _fetch(connection, f"/api/models/{quote(name)}/{version}/file", path, artifact["sha256"])
        return UsedModel(name, version, path)
    except OSError as error:
        raise MonitorError(f"The model {wanted} cannot be kept in {folder}: {error}") from error
    finally:
        connection.close()


def _find(connection: Connection, wanted: str) -> Mapping[str, Any]:
    match = _WANTED.fullmatch(wanted)
    if match is None:
        raise MonitorError(f"A model is asked for as name or name:version, not as {wanted!r}.")
    name, version = match.groups()
    # Each asked for by itself: a list of all versions ends somewhere.
    ways = [{"version": str(int(version))}] if version else [{"stage": "production"}, {"stage": "candidate"}]
    for way in ways:
        listed = connection.get("/api/models", {"name": name, **way})["models"]
        if found := [each for each in listed if all(str(each[key]) == way[key] for key in way)]:
            return max(found, key=lambda each: int(each["version"]))
    raise MonitorError(f"There is no model {wanted}, or it is archived: its page is Models.")


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def _fetch(connection: Connection, url: str, path: Path, sha256: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file, part = _create_part(path.parent)
    with os.fdopen(file, "wb") as stream:
        try:
            found = connection.fetch_file(url, stream)
            if found != sha256:
                raise MonitorError(f"What came as {path.name} has the SHA-256 {found}, not {sha256}.")
            stream.flush()
            # While it is locked: it would be a leftover otherwise.
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _create_part(folder: Path) -> tuple[int, Path]:
    """Return a new file, locked for as long as somebody has it open."""
    while True:
        file, name = tempfile.mkstemp(dir=folder, prefix=_PART_PREFIX, suffix=_PART_SUFFIX)
        with contextlib.suppress(OSError):  # where no file can be locked, none is cleaned away either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return file, Path(name)
        os.close(file)  # taken for a leftover before it was locked


def _clean(folder: Path) -> None:
    """Delete what processes that are gone have left; a lock says who lives, a process id might not."""
    for part in folder.glob(f"{_PART_PREFIX}*{_PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            file = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
            finally:
                os.close(file)
