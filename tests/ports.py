"""Ports for the programs of tests that run side by side."""

from __future__ import annotations

import itertools
import os
from typing import Final

from cli.redis_server import free_port

# Below the ports that the system gives to whoever connects: such a one may be gone too soon.
FIRST: Final = 22_000
SLICE: Final = 100
_asked = itertools.count()


def own_port() -> int:
    """Return a free port of 127.0.0.1: not one that another test process is about to take, nor the last one.

    A program takes a second or two from its start until it listens.
    """
    return free_port(FIRST + os.getpid() % 100 * SLICE + next(_asked) % SLICE)
