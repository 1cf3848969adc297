"""A model of Wattle as a file on this machine."""

from __future__ import annotations

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
    file, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(file, "wb") as stream:
            found = connection.fetch_file(url, stream)
        if found != sha256:
            raise MonitorError(f"What came as {path.name} has the SHA-256 {found}, not {sha256}.")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
