"""The Lua scripts: one per atomic transition, each with its key map in the head."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schema import DEFAULT_QUEUE, SortField
from store.encoding import EPOCH_FIELDS

_FOLDER: Final = Path(__file__).parent
_SHARED: Final = "lib"


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
    """Read every script, each after the shared part and the tables that Python owns."""
    prelude = _tables(key_formats) + (_FOLDER / f"{_SHARED}.lua").read_text("utf-8")
    return {
        path.stem: Script.of(prelude + path.read_text("utf-8"))
        for path in sorted(_FOLDER.glob("*.lua"))
        if path.stem != _SHARED
    }


def _tables(key_formats: Mapping[str, str]) -> str:
    """Write the key formats, the sort fields and the places in an epoch's array as Lua tables."""
    keys = ", ".join(f'{name} = "{text}"' for name, text in key_formats.items())
    fields = ", ".join(f'"{field.value}"' for field in SortField)
    places = ", ".join(f"{name} = {place}" for place, name in enumerate(EPOCH_FIELDS, start=1))
    return (
        f"local KEY = {{{keys}}}\nlocal SORT_FIELDS = {{{fields}}}\nlocal EPOCH = {{{places}}}\n"
        f'local DEFAULT_QUEUE = "{DEFAULT_QUEUE}"\n'
    )
