"""How the memory of a web process is given out."""

from __future__ import annotations

import ctypes
from typing import Final

# <malloc.h>
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def limit_arenas() -> bool:
    """Let all threads of this process and its children share two heaps; False where the C library has one.

    glibc gives each thread its own, up to eight for each core, and what one answer left free in its thread's
    is of no use to the others: a web process with 64 threads grew as long as it ran.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and set_option(_M_ARENA_MAX, _ARENAS) == 1
