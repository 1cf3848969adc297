"""Own the terminal, so that Ctrl-C ends the launcher cleanly also under ``make``.

A terminal sends Ctrl-C to its whole foreground process group. GNU make in that group then fails with
"Interrupt", whatever its recipe answers. So the launcher moves into a group of its own and puts that one into
the foreground.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable


def run_in_foreground(program: Callable[[], int]) -> int:
    """Run ``program`` in a process that owns the terminal; returns its exit code.

    Without a terminal, ``program`` runs right here. Signals to this process are passed on.
    """
    if not _owns_terminal():
        return program()
    signal.signal(
        signal.SIGTTOU, signal.SIG_IGN
    )  # a background process that takes the terminal would be stopped
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # the shell would not see this group stop
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # the window was closed
        code = program()
        sys.stdout.flush()
        os._exit(code)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: os.kill(child, received))
    _, status = os.waitpid(child, 0)
    os.tcsetpgrp(0, os.getpgrp())
    return os.waitstatus_to_exitcode(status)


def _owns_terminal() -> bool:
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
