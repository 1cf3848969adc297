"""The end of an export, which says whether it is whole."""

from __future__ import annotations

import json
import tarfile
from typing import Final

from errors import ArchiveUnavailable
from schema.archive import END_FILE, PROBLEM_FILE

_BLOCK: Final = tarfile.BLOCKSIZE
# The header of the last file, its one line, and the two empty blocks of the end of a tar.
MOST_END_BYTES: Final = 16 * _BLOCK


def check_end(end: bytes) -> None:
    """Raise ArchiveUnavailable, with the reason, where what an export ends with is not that of a whole one.

    end: its last MOST_END_BYTES, or all of it.
    """
    for start in range(len(end) - _BLOCK, -1, -_BLOCK):
        try:
            info = tarfile.TarInfo.frombuf(end[start : start + _BLOCK], tarfile.ENCODING, "surrogateescape")
        except tarfile.HeaderError:
            continue
        if info.name == END_FILE:
            return
        if info.name == PROBLEM_FILE:
            line = end[start + _BLOCK : start + _BLOCK + info.size]
            raise ArchiveUnavailable(f"The export is not whole. {json.loads(line)['problem']}")
    raise ArchiveUnavailable("The export is not whole: it ended too soon. Try again.")
