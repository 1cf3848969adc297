"""How a training ended, from what ended it."""

from __future__ import annotations

import sys
import traceback
from typing import Any, Final

from training_monitor.errors import MonitorError

# Both words for one status; the server calls it done.
STATUSES: Final = {"completed": "done", "done": "done", "failed": "failed", "cancelled": "cancelled"}
_MOST_TRACEBACK: Final = 20_000


def to_status(word: str) -> str:
    """Return the server's word. Raises MonitorError for any other."""
    if word not in STATUSES:
        raise MonitorError(f"A run ends as {', '.join(STATUSES)}, not as {word!r}.")
    return STATUSES[word]


def describe(error: BaseException | None) -> dict[str, Any]:
    """Return the status, and of a failure its kind, message and traceback."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return {"status": "done"}
    if isinstance(error, KeyboardInterrupt):
        return {"status": "cancelled", "reason": "It was interrupted from the keyboard."}
    text = "".join(traceback.format_exception(error))
    kind, message = type(error).__name__, str(error) or type(error).__name__
    failure = {"kind": kind[:100], "message": message[:2_000], "traceback": text[-_MOST_TRACEBACK:]}
    return {"status": "failed", "error": failure}


def what_ended_the_program() -> BaseException | None:
    """Return the exception that nobody caught; None in a notebook, where one error does not end anything."""
    if hasattr(sys, "ps1"):
        return None
    error = getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None
