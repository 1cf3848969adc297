"""Gives back the shared memory of processes that were killed and that nobody has come for."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from training_monitor.ownership import Owner, is_our_memory
from training_monitor.spool import MEMORY_NAME, adopt
from training_monitor.window import SHARED_MEMORY

log = logging.getLogger(__name__)

# Who comes for a session that has just died, to send it, must not find it locked.
_YOUNGEST_S: Final = 3_600.0


def find_memory(place: Path = SHARED_MEMORY) -> Iterator[tuple[Path, Owner]]:
    """Yield this user's memory that says whose it is."""
    for path in sorted(place.glob(f"{MEMORY_NAME}*")):
        try:
            owner = Owner.read(path) if is_our_memory(path) else None
        except OSError:  # its process has just finished
            continue
        if owner is not None:
            yield path, owner


def give_back_memory(place: Path = SHARED_MEMORY) -> None:
    """Free what nobody can need, and move what a dead process left to the disk that its session is on.

    Nothing is sent here. Memory without its folder goes, as a session is found by its folder. Of a session
    whose process is alive, and of what may be out of sight, nothing is touched.
    """
    for path, owner in find_memory(place):
        try:
            if owner.is_gone():
                path.unlink(missing_ok=True)
            elif time.time() - path.stat().st_mtime > _YOUNGEST_S and (
                spool := adopt(Path(owner.folder), memory=path)
            ):
                spool.close()
        except (OSError, ValueError, TypeError) as error:
            log.debug("memory is left as it is path=%s: %s", path, error)
