"""The commit of a git checkout, read from its files: git itself need not be there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

_COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_MOST_BYTES: Final = 10_000_000


class Repository(NamedTuple):
    """A checkout."""

    work_tree: Path
    git_dir: Path
    """Of this work tree: it has the HEAD."""
    shared_dir: Path
    """Of all work trees of the repository: it has the branches."""


def find_repository(folder: Path) -> Repository | None:
    """Return the checkout a folder is in; None outside one, and where it cannot be read."""
    try:
        folder = folder.resolve()
        for place in (folder, *folder.parents):
            if (place / ".git").exists():
                return _open(place)
    except (OSError, RuntimeError, ValueError):
        return None
    return None


def read_commit(repository: Repository) -> str | None:
    """Return the commit that is checked out; None before the first one, and where it cannot be read."""
    try:
        head = _read(repository.git_dir / "HEAD")
        if not head.startswith("ref:"):
            return head if _COMMIT.fullmatch(head) else None
        name = head.removeprefix("ref:").strip()
        for folder in (repository.git_dir, repository.shared_dir):
            if (folder / name).is_file() and _COMMIT.fullmatch(found := _read(folder / name)):
                return found
        return _packed(repository.shared_dir / "packed-refs", name)
    except (OSError, ValueError):
        return None


def _open(work_tree: Path) -> Repository:
    git_dir = work_tree / ".git"
    if git_dir.is_file():
        # A further work tree, or a submodule.
        git_dir = (work_tree / _read(git_dir).removeprefix("gitdir:").strip()).resolve()
    shared = git_dir / "commondir"
    shared_dir = (git_dir / _read(shared)).resolve() if shared.is_file() else git_dir
    return Repository(work_tree, git_dir, shared_dir)


def _packed(path: Path, name: str) -> str | None:
    if not path.is_file():
        return None
    for line in _read(path).splitlines():
        commit, _, branch = line.partition(" ")
        if branch == name and _COMMIT.fullmatch(commit):
            return commit
    return None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
