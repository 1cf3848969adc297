"""Ports for the programs of tests that run side by side."""

from __future__ import annotations

import itertools
import os
from typing import Final

from cli.redis_server import free_port

# Below the ports that the system gives to whoever connects: such a one may be gone too soon.
FIRST: Final = 22_000
SLICE: Final = 50
# Test runs at once on one machine, and processes of each, that have a slice of their own.
RUNS: Final = 40
PROCESSES: Final = 5
_asked = itertools.count()


def own_port() -> int:
    """Return a free port of 127.0.0.1: not one that another test process is about to take, nor the last one.

    A program takes a second or two from its start until it listens.
    """
    # The processes of one run are children of one, and numbered: gw0, gw1 and so on.
    name = os.environ.get("PYTEST_XDIST_WORKER")
    run, number = (os.getppid(), int(name.removeprefix("gw"))) if name else (os.getpid(), 0)
    place = run % RUNS * PROCESSES + number % PROCESSES
    return free_port(FIRST + place * SLICE + next(_asked) % SLICE)


def own_ports(count: int) -> list[int]:
    """Return so many different ones: two calls may both find the next free one while nothing listens yet."""
    found: dict[int, None] = {}
    while len(found) < count:
        found[own_port()] = None
    return list(found)
