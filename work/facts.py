"""What is recorded about where a run was trained."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from schema import Scalar
from training_monitor.surroundings import describe_surroundings

_ROOT = Path(__file__).resolve().parent.parent


def collect_facts(*, energy_source: str) -> dict[str, Scalar]:
    """Return versions, host and meter; torch's own facts come from the child, the grid's with the costs."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "wattle": _version(),
        "energy_source": energy_source,
        # A store holds many runs: what a worker imports besides has no part in their figures.
        **describe_surroundings(_ROOT, with_imports=False),
    }


def _version() -> str | None:
    try:
        return metadata.version("wattle")
    except metadata.PackageNotFoundError:
        return None
