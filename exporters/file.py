"""Runs as lines of a file, one JSON object each."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from schema import EpochResult, Run
from settings import Settings

NAME: Final = "runs.jsonl"
# A line is shorter: a run of 10,000 epochs has some 5 MiB.
_TAIL_BYTES: Final = 16 << 20


class FileExporter:
    """Appends to ``exports/runs.jsonl`` in the data folder: ``{"run": …, "epochs": […]}``."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.data_dir / "exports" / NAME

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        """Append a line, which is on disk when this returns; nothing where it is the last one already."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        known = [result.model_dump(mode="json", exclude_none=True) for result in epochs]
        line = json.dumps({"run": run.model_dump(mode="json"), "epochs": known}, ensure_ascii=False)
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_same(_read_end(file), run):
                return
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _read_end(file: BinaryIO) -> dict[str, Any]:
    """Return the last line. Half a one, of a machine that went down, is cut off."""
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        file.truncate(start + len(whole))
    if not whole:
        return {}
    found: dict[str, Any] = json.loads(whole.removesuffix(b"\n").rpartition(b"\n")[2])
    return found


def _is_same(last: dict[str, Any], run: Run) -> bool:
    known = last.get("run", {})
    stated = run.model_dump(mode="json", include={"run_id", "attempt", "ended_at"})
    return all(known.get(name) == value for name, value in stated.items())
