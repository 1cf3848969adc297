"""What is recorded about where a run was trained."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from schema import Scalar

_ROOT = Path(__file__).resolve().parent.parent


def collect_facts(*, energy_source: str) -> dict[str, Scalar]:
    """Return versions, host and meter; torch's own facts come from the child, the grid's with the costs."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "wattle": _version(),
        "git_commit": _git_commit(),
        "energy_source": energy_source,
    }


def _version() -> str | None:
    try:
        return metadata.version("wattle")
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The checkout's commit, with ``+changes`` where files differ from it; None outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
