"""A program of its own: run a command, and end it with everything it started once its owner is gone.

``python -I leash.py LIFELINE REPORT COMMAND…``: two file descriptors, then what to run. The lifeline
is the reading end of a pipe whose other end its owner holds: it closes when the owner dies, however that
happens. Runs in a process group of its own, which the command shares. It imports nothing of Wattle.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run the command; returns its exit code, 128 + the signal when one ended it, as a shell does."""
    lifeline, report = int(sys.argv[1]), int(sys.argv[2])
    # A handler, not SIG_IGN, which the command would inherit: SIGTERM to the group is for the command.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if sys.platform == "linux":
        # Whatever the command leaves behind becomes a child of this process, also if it changed its group.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = subprocess.Popen(sys.argv[3:], pass_fds=(report,))
    os.close(report)
    threading.Thread(target=_end_with_owner, args=(lifeline,), daemon=True).start()
    code = command.wait()
    _kill_the_rest()
    return code if code >= 0 else 128 - code


def _end_with_owner(lifeline: int) -> None:
    os.read(lifeline, 1)
    _kill_the_rest()
    os.killpg(0, signal.SIGKILL)


def _kill_the_rest() -> None:
    """Kill every descendant: the children of a killed one become ours, until there are none."""
    while children := _list_children():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _list_children() -> list[int]:
    """List the pids of this process's children; none where there is no /proc, and the group has to do."""
    found: list[int] = []
    for tasks in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, tasks.read_text().split())
    return found


if __name__ == "__main__":
    sys.exit(main())
