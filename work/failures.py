"""What a person reads about a failed run besides its message: where it happened, and what to try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schema import RunError

_MEMORY: Final = (
    "Make batch_size or the network smaller, or give the host more memory. On Linux, dmesg names what the "
    "system's out-of-memory killer has ended."
)
_FILES: Final = (
    "Look whether the file is on the worker's host, may be read by the worker's user, and whether its disk "
    "is full; then retry the run."
)
_INSTALL: Final = "Install what is missing on the worker's host, restart the worker, and retry the run."
_NETWORK: Final = "Look at the worker's network and at the other side of the connection, then retry the run."

HINTS: Final[Mapping[str, str]] = {
    "ChildDied": _MEMORY,
    "ChildConfused": "A trainer must not write to the pipe of its process; report the values as EpochResult.",
    "TrainerDied": "See the worker's output for what the process said last; after that, retry the run.",
    "Stalled": (
        "The traceback shows where each thread stood. A network drive that hangs or a deadlock among data "
        "loaders are common. If the run is only slow, set WATTLE_STALL_S of the worker higher."
    ),
    "TimedOut": "Its time is that of all attempts, so a retry would end at once: submit it again instead.",
    "TrainingFailed": "The same values would fail again: rerun it with what the message advises.",
    "InvalidInput": "Correct the value that the message names and rerun it.",
    "DatasetUnavailable": "Put the files on the worker's host, or start a worker where they are; then retry.",
    "DownloadInterrupted": (
        "Look at the network of the worker's host and whether the named address answers; or put the files on "
        "the host. Then retry the run."
    ),
    "CheckpointInvalid": "Delete the run's checkpoints to start it anew, then retry it.",
    "MemoryError": _MEMORY,
    "OutOfMemoryError": _MEMORY,
    "ImportError": _INSTALL,
    "ModuleNotFoundError": _INSTALL,
    "OSError": _FILES,
    "FileNotFoundError": _FILES,
    "PermissionError": _FILES,
    "ConnectionError": _NETWORK,
    "ConnectionRefusedError": _NETWORK,
    "ConnectionResetError": _NETWORK,
    "TimeoutError": _NETWORK,
}
_FOREIGN: Final = "The last lines of the traceback name the place in the trainer's code where it went wrong."


def complete(error: RunError, *, host: str, step: int | None, epoch: int | None) -> RunError:
    """Return the error with where it happened and a hint by its class; what it already says stays."""
    known: dict[str, object] = {"host": host, "step": step, "epoch": epoch}
    known["hint"] = HINTS.get(error.kind, _FOREIGN if error.traceback else None)
    missing = {name: value for name, value in known.items() if getattr(error, name) is None}
    return error.model_copy(update=missing)
