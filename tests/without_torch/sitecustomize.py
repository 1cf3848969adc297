"""Python loads this at its start when the folder is on PYTHONPATH: there is no torch then."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_find_spec = PathFinder.find_spec


def _find_other(
    name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
) -> ModuleSpec | None:
    return None if name == "torch" else _find_spec(name, path, target)


PathFinder.find_spec = _find_other  # type: ignore[method-assign, assignment] # the whole point
