"""Which workers of this machine share its sampler, what they train on, and whether they train now."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from carbon_aware_trainer.errors import MeterUnavailable


@dataclass(frozen=True, slots=True)
class Registration:
    """One worker: the root of its processes, its GPUs, and whether a run is being trained."""

    pid: int
    started: float = 0.0  # with the pid it names the process for ever
    gpus: Mapping[str, str] = field(default_factory=dict)  # gpu:0 → UUID
    is_training: bool = False


class Roster:
    """One file per worker in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "workers"

    def open(self) -> None:
        """Make the folder. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, worker: Registration) -> None:
        """Add or change a worker, atomically. Raises OSError."""
        path = self._path(worker.pid)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(worker)), encoding="utf-8")
        draft.replace(path)

    def keep(self, worker: Registration) -> None:
        """Keep a worker's file from ageing, which cleaners of /tmp go by; put it back if it is gone.

        Raises OSError.
        """
        try:
            os.utime(self._path(worker.pid))
        except FileNotFoundError:
            self.open()
            self.write(worker)

    def remove(self, pid: int) -> None:
        """Forget a worker."""
        with suppress(OSError):
            self._path(pid).unlink(missing_ok=True)

    def read(self) -> tuple[Registration, ...]:
        """Return all workers by pid; a file that makes no sense is left out."""
        found = []
        for path in self._folder.glob("*.json"):
            with suppress(OSError, ValueError, TypeError):
                found.append(Registration(**json.loads(path.read_text(encoding="utf-8"))))
        return tuple(sorted(found, key=lambda worker: worker.pid))

    def _path(self, pid: int) -> Path:
        return self._folder / f"{pid}.json"


def open_folder(folder: Path) -> None:
    """Make the folder that the workers of one user and one machine share.

    Raises MeterUnavailable when it cannot be made, somebody else made it, or every user may write to it.
    """
    remedy = "Set WATTLE_ENERGY_DIR to a folder of this user on this machine."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        raise MeterUnavailable(f"{folder} cannot be used: {error.strerror}. {remedy}") from error
    if not hasattr(os, "getuid"):
        return
    if facts.st_uid != os.getuid():
        raise MeterUnavailable(f"{folder} belongs to another user. {remedy}")
    if facts.st_mode & stat.S_IWOTH:
        raise MeterUnavailable(f"Every user may write to {folder}. Run chmod 700 on it, or: {remedy}")
