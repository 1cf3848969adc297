"""What the folders of checkpoints are called. No torch: the worker, which has none, deletes them."""

from __future__ import annotations

import re

_NAME = re.compile(r"step-(\d{12})")


def name_step(step: int) -> str:
    """Return the name of the checkpoint made after ``step``."""
    return f"step-{step:012d}"


def read_step(name: str) -> int | None:
    """Return the step of a checkpoint's name; None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def is_checkpoint(name: str) -> bool:
    """Say whether a folder of that name is a checkpoint."""
    return read_step(name) is not None
