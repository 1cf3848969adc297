"""What a killed use_model has left is deleted by the next one, and what another one is bringing is not."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training_monitor import models
from training_monitor.errors import MonitorError

DATA = b"weights"
DIE = """
import os, sys
from pathlib import Path
from training_monitor.models import _create_part
file, part = _create_part(Path(sys.argv[1]))
os.write(file, b"half of ")
os.kill(os.getpid(), 9)
"""


class Server:
    """The route of a file, without a network. within: called in the middle of it."""

    def __init__(self, data: bytes, within: Any = lambda: None) -> None:
        self._data, self._within = data, within

    def fetch_file(self, _path: str, to: Any) -> str:
        to.write(self._data)
        self._within()
        return hashlib.sha256(self._data).hexdigest()


def fetch(folder: Path, server: Server, name: str = "m-1.safetensors") -> None:
    path = folder / name
    models._fetch(server, "/", path, hashlib.sha256(DATA).hexdigest())  # type: ignore[arg-type]


def found(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_deleted_and_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "mine.part").touch()
    died = subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], check=False, timeout=60)
    assert died.returncode == -9
    assert len(found(tmp_path)) == 2
    models._clean(tmp_path)
    assert found(tmp_path) == ["mine.part"]
    models._clean(tmp_path / "none")


def test_what_is_being_brought_outlives_a_cleaning(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def clean() -> None:
        models._clean(tmp_path)
        seen.append(found(tmp_path))

    fetch(tmp_path, Server(DATA, clean))
    assert [len(names) for names in seen] == [1]
    assert found(tmp_path) == ["m-1.safetensors"]
    assert (tmp_path / "m-1.safetensors").read_bytes() == DATA


def test_a_file_that_is_not_what_was_registered_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MonitorError):
        fetch(tmp_path, Server(b"other"))
    assert found(tmp_path) == []


def test_a_part_that_was_cleaned_away_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = fcntl.flock, list[int]()

    def clean_first(file: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not calls:
            calls.append(file)
            models._clean(tmp_path)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    file, part = models._create_part(tmp_path)
    os.close(file)
    assert calls
    assert found(tmp_path) == [part.name]
