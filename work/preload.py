"""What the forkserver loads once, so that a training child starts in milliseconds.

Importing this module changes the process: import it in the forkserver alone.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import sys

from trainers.allocator import keep_freed_memory
from work import WORKER_PID_VARIABLE

_PR_SET_PDEATHSIG = 1


def die_with_parent(expected_parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends; exits at once if that is already so.

    Linux only. Elsewhere the child notices the closed pipe after its next step.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != expected_parent_pid:
        os._exit(1)


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
