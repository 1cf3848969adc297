"""What other packages bring along: entry points of a group, the broken ones with the reason."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

PROVIDERS = "wattle.providers"
METERS = "wattle.meters"


class Plugins(NamedTuple):
    """The entry points of a group by name: what they lead to, and why some lead nowhere."""

    found: Mapping[str, Any]
    broken: Mapping[str, str]


def load_plugins(group: str) -> Plugins:
    """Return the plug-ins of a group; each leads to something that can be called."""
    return _load(group, tuple(sys.path))


# Reading the metadata of every distribution takes milliseconds, so it is done once per search path.
@lru_cache(maxsize=32)
def _load(group: str, search_path: tuple[str, ...]) -> Plugins:  # noqa: ARG001 - the key of the cache
    found: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            loaded = point.load()
            if not callable(loaded):
                raise TypeError(f"{point.value} cannot be called")
            found[point.name] = loaded
        except Exception as error:  # noqa: BLE001 - code of somebody else: importing it may raise anything
            broken[point.name] = f"{type(error).__name__}: {error}"
            log.warning("plug-in left out group=%s name=%s reason=%s", group, point.name, broken[point.name])
    return Plugins(found, broken)
