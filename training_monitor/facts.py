"""What a run says about where it runs: the part that is known at once, and the part a thread finds out."""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

from training_monitor.surroundings import Fact, describe_surroundings

log = logging.getLogger(__name__)

# The run is begun without what takes longer.
_WAIT_S: Final = 3.0


def describe_environment() -> dict[str, Any]:
    """Return what is known at once."""
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "script": os.path.basename(sys.argv[0]) if sys.argv else "",  # noqa: PTH119 it may be no path at all
    }


class Lookout:
    """Looks at packages, system and commit in a thread of its own, from the start on."""

    def __init__(self) -> None:
        self._found: dict[str, Fact] = {}
        self._is_done = threading.Event()
        threading.Thread(target=self._look, name="training_monitor facts", daemon=True).start()

    def facts(self) -> dict[str, Fact]:
        """Return what was found, after three seconds at most; {} where that was not enough."""
        return dict(self._found) if self._is_done.wait(_WAIT_S) else {}

    def _look(self) -> None:
        try:
            self._found = describe_surroundings(_code_folder())
        except Exception as error:  # noqa: BLE001 the outer edge: a strange machine must not end a training
            log.warning("It is not known what the run ran with: %s: %s", type(error).__name__, error)
        finally:
            self._is_done.set()


def _code_folder() -> Path:
    """Return where the script is, else, as in a notebook, where it was started."""
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    return script.parent if script is not None and script.is_file() else Path.cwd()
