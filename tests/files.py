"""Files below a folder that programs change meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def list_files(folder: Path | str) -> list[Path]:
    """Return the files that are there; a folder that goes meanwhile has none, where ``rglob`` raises."""
    return [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
