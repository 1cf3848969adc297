"""How full the memory and the disk of this host are, and what waits on it for Redis."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Final

import psutil

from work.spool import FOLDER

log = logging.getLogger(__name__)

_EVERY_S: Final = 10.0
# A figure that nothing has confirmed for so long is not told: the disk hangs.
_KEPT_S: Final = 60.0


class HostGauge:
    """Looks every 10 s in a thread of its own: a network drive that hangs keeps no worker from renewing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._disk: tuple[float, float] | None = None
        self.spool_bytes: int | None = None
        """Of all files in its spool folder, also of dead workers; None before the first look."""
        threading.Thread(target=self._run, name="host gauge", daemon=True).start()

    @property
    def memory_share(self) -> float:
        """The share of the memory that is used; it is read from a file of the kernel and never waits."""
        return min(1.0, psutil.virtual_memory().percent / 100)

    @property
    def disk_share(self) -> float | None:
        """The used share of the disk with the folder at the last look; None when that is long ago."""
        if self._disk is None or time.monotonic() - self._disk[1] > _KEPT_S:
            return None
        return self._disk[0]

    def _run(self) -> None:
        is_known = True
        while True:
            try:
                self._disk = (used_share(self._folder), time.monotonic())
                self.spool_bytes = total_bytes(self._folder / FOLDER)
                is_known = True
            except OSError as error:
                if is_known:
                    log.warning("it is not known how full the disk is: %s", error)
                is_known = False
            time.sleep(_EVERY_S)


def total_bytes(folder: Path) -> int:
    """Return the size of the files in a folder; 0 where there is none. Raises OSError."""
    if not folder.exists():
        return 0
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # written, and deleted meanwhile
            total += path.stat().st_size
    return total


def used_share(folder: Path) -> float:
    """Return how much of the disk is used that holds a folder, or will hold it. Raises OSError."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    # What is reserved for root is nobody else's: used and free are less than total.
    return usage.used / (usage.used + usage.free)
