"""The shared memory of the SDK's sessions below a folder, which outlives killed processes by design."""

from __future__ import annotations

from pathlib import Path

from training_monitor.orphans import find_memory


def memory_below(folder: Path) -> list[Path]:
    """Return the memory of the sessions in a folder."""
    above = folder.resolve()
    return [path for path, owner in find_memory() if above in Path(owner.folder).parents]


def free_memory_below(folder: Path) -> None:
    """Give back what killed processes of a test have left."""
    for path in memory_below(folder):
        path.unlink(missing_ok=True)
