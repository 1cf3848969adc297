"""What every queue is given to do, and how it writes down that it was done. Standard library only."""

from __future__ import annotations

import functools
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import Any

REDIS = "WATTLE_BENCH_REDIS"
STAMPS = "WATTLE_BENCH_STAMPS"
JOURNAL = "WATTLE_BENCH_JOURNAL"
DIES_AFTER_POP = "WATTLE_BENCH_DIES_AFTER_POP"
LEASE_S = "WATTLE_BENCH_LEASE_S"
"""What corresponds to a lease: Celery's visibility timeout, Dramatiq's heartbeat timeout. Unset: default."""

STAMP = struct.Struct("q")


def stamp() -> None:
    """Do nothing but write down when: ``time.monotonic_ns()``, the same clock in every process of a host."""
    os.write(_open(os.environ[STAMPS]), STAMP.pack(time.monotonic_ns()))


def nap(seconds: float, rest: Callable[[float], bool] | None = None) -> bool:
    """Sleep, and write down that it began and that it ended; returns whether it ended by itself.

    rest: sleeps for some seconds and returns whether to go on; by default sleeps for all of them.
    """
    # Not the process: several starts in one would look like one after the other.
    start = time.monotonic_ns()
    note("began", start)
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        if rest is None:
            time.sleep(left_s)
        elif not rest(min(left_s, 0.05)):
            return False
    note("ended", start)
    return True


def note(event: str, start: int) -> None:
    """Write an event into the journal: what, of which start, when."""
    os.write(_open(os.environ[JOURNAL]), f"{event} {start} {time.monotonic()}\n".encode())


def die_after(pop: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``pop``, after which this process kills itself when it got something."""

    def pop_and_die(*arguments: Any, **options: Any) -> Any:
        got = pop(*arguments, **options)
        if got:
            os.kill(os.getpid(), signal.SIGKILL)
        return got

    return pop_and_die


def redis_url() -> str:
    """Return where the Redis of this benchmark is."""
    return os.environ[REDIS]


@functools.cache
def _open(path: str) -> int:
    """Open for appending: each write of a few bytes arrives whole, whoever writes beside."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
