"""What the forkserver loads once, so that a training child starts in milliseconds.

Importing this module changes the process: import it in the forkserver alone.
"""

from __future__ import annotations

import importlib.util
import os
import signal

from trainers.allocator import keep_freed_memory
from trainers.parent import die_with_parent
from work import WORKER_PID_VARIABLE


def _preload() -> None:
    # The worker decides when a child ends: a SIGTERM or Ctrl-C to the whole process group is for the worker.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent(int(os.environ[WORKER_PID_VARIABLE]))
    keep_freed_memory()
    # Without torch, runs that need none can still be worked on.
    if importlib.util.find_spec("torch"):
        import trainers.loop  # noqa: F401 - brings torch in, after the allocator has been set
    import work.child  # noqa: F401


_preload()
FORKSERVER_PID = os.getpid()
