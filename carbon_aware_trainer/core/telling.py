"""Telling listeners, which are foreign code: one that fails ends nothing, and one may be async."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)
# A loop keeps no hold of its tasks by itself.
_UNDER_WAY: set[asyncio.Task[None]] = set()


def tell(call: Callable[[], Awaitable[object] | object], whom: str) -> None:
    """Tell a listener from plain code. ``whom``: named in the log when it fails.

    One that is async runs to its end in a loop of its own; where a loop runs in this thread already, as a
    task of that, once it is free.
    """
    try:
        outcome = call()
        if not inspect.isawaitable(outcome):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(_finish(outcome, whom))
            return
        task = loop.create_task(_finish(outcome, whom))
        _UNDER_WAY.add(task)
        task.add_done_callback(_UNDER_WAY.discard)
    except Exception:  # foreign code: what it raises is not to end a training
        log.exception("%s failed", whom)


async def atell(call: Callable[[], Awaitable[object] | object], whom: str) -> None:
    """Tell a listener from a task, which waits for one that is async."""
    try:
        outcome = call()
    except Exception:  # foreign code: what it raises is not to end a training
        log.exception("%s failed", whom)
        return
    if inspect.isawaitable(outcome):
        await _finish(outcome, whom)


async def _finish(outcome: Awaitable[object], whom: str) -> None:
    try:
        await outcome
    except Exception:  # foreign code: what it raises is not to end a training
        log.exception("%s failed", whom)
