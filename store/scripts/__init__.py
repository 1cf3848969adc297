"""The Lua scripts: one per atomic transition, each with its key map in the head."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schema import DEFAULT_PROJECT, DEFAULT_QUEUE, SortField
from schema.sweeps import SWEEP_TAG
from store.buckets import BOUNDS
from store.encoding import EPOCH_FIELDS, EXTRA_FIELDS, QUALITIES
from store.metric_arrays import ACCURACIES, LOSSES, METRIC_FIELDS

_FOLDER: Final = Path(__file__).parent
_SHARED: Final = "lib"
# What moves runs to the archive and back, reads what is here of them, or leaves alone what exists.
_OF_ARCHIVED: Final = frozenset(
    {"adopt_archived", "archive", "fingerprint", "import_run", "read_histograms", "restore", "thaw"}
)
_GUARD: Final = """
local archived = refuse_archived()
if archived then
  return archived
end
"""


@dataclass(frozen=True)
class Script:
    """A script as Redis gets it, and the name Redis gives it."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        """Name a script by its SHA-1, as EVALSHA wants it."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def load_scripts(key_formats: Mapping[str, str]) -> dict[str, Script]:
    """Read every script, each after the shared part and the tables that Python owns.

    All but those that say otherwise refuse a run that was moved to the archive.
    """
    prelude = _tables(key_formats) + (_FOLDER / f"{_SHARED}.lua").read_text("utf-8")
    return {
        path.stem: Script.of(
            prelude + ("" if path.stem in _OF_ARCHIVED else _GUARD) + path.read_text("utf-8")
        )
        for path in sorted(_FOLDER.glob("*.lua"))
        if path.stem != _SHARED
    }


def _tables(key_formats: Mapping[str, str]) -> str:
    """Write what Python owns as Lua tables: keys, sort fields, the places in arrays and their letters."""
    return (
        f"local KEY = {_texts(key_formats)}\nlocal SORT_FIELDS = {_list(list(SortField))}\n"
        f"local EPOCH = {_places(EPOCH_FIELDS)}\nlocal EXTRA = {_places(EXTRA_FIELDS)}\n"
        f"local METRIC, METRIC_WIDTH = {_places(METRIC_FIELDS)}, {len(METRIC_FIELDS)}\n"
        f"local ACCURACIES, LOSSES = {_list(ACCURACIES)}, {_list(LOSSES)}\n"
        f"local BOUNDS = {{{', '.join(f'{name} = {_list(bounds)}' for name, bounds in BOUNDS.items())}}}\n"
        f'local QUALITY = {_texts(QUALITIES)}\nlocal DEFAULT_QUEUE = "{DEFAULT_QUEUE}"\n'
        f'local DEFAULT_PROJECT, SWEEP_TAG = "{DEFAULT_PROJECT}", "{SWEEP_TAG}"\n'
    )


def _texts(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name} = "{text}"' for name, text in entries.items()) + "}"


def _list(texts: Sequence[str]) -> str:
    return "{" + ", ".join(f'"{text}"' for text in texts) + "}"


def _places(fields: Sequence[str]) -> str:
    return "{" + ", ".join(f"{name} = {place}" for place, name in enumerate(fields, start=1)) + "}"
