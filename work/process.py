"""Starting a training child and hearing from it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from errors import InvalidInput, TrainingFailed
from schema import Request, RunError
from work import WORKER_PID_VARIABLE
from work.child import Job, probe_device, run_job
from work.messages import Described, Ended, Message, decode

_context = multiprocessing.get_context("forkserver")
_ROOT = Path(__file__).resolve().parent.parent
PROBE_TIMEOUT_S = 120.0


def start_forkserver() -> None:
    """Start the process that has torch imported and forks the children.

    Call it from the main thread: the kernel ends the forkserver when the *thread* that started it ends.
    """
    # The forkserver does not inherit sys.path, and a worker may be started from any directory.
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    # Set before torch is imported: threads that wait without spinning cost a busy machine far less.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ[WORKER_PID_VARIABLE] = str(os.getpid())
    _context.set_forkserver_preload(["work.preload"])
    forkserver.ensure_running()


class Child:
    """One child process of the forkserver and the pipe to it."""

    def __init__(self, target: Any, argument: Job | str) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process: ForkServerProcess = _context.Process(target=target, args=(theirs, argument))
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    def receive(self, timeout_s: float) -> list[Message]:
        """Return what has arrived, waiting at most ``timeout_s`` for the first message.

        The last message is always an Ended: a child that dies without one is reported as failed.
        """
        wait([self._pipe], timeout_s)
        messages: list[Message] = []
        try:
            while self._pipe.poll():
                messages.append(decode(self._pipe.recv_bytes()))
        except (EOFError, ConnectionResetError):
            if not (messages and isinstance(messages[-1], Ended)):
                messages.append(Ended(outcome="failed", error=self._explain_death()))
        return messages

    def ask(self, request: Request) -> None:
        """Send a request; the child acts on it at its next step boundary."""
        # A child that has just ended cannot listen: its last message, or its death, is read next.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send_bytes(request.value.encode())

    def end(self) -> None:
        """Kill it if it still runs, and wait until it is gone."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _explain_death(self) -> RunError:
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            advice = " The system may have run out of memory: try a smaller batch_size." if code == -9 else ""
            return RunError(kind="ChildDied", message=f"The training process was ended by {name}.{advice}")
        message = f"The training process ended without a word (exit code {code}); see the worker's output."
        return RunError(kind="ChildDied", message=message)


def start_training(job: Job) -> Child:
    """Start a child that trains ``job``."""
    return Child(run_job, job)


def probe_machine(wanted: str) -> tuple[str, str | None]:
    """Return the device that ``wanted`` means here and the version of torch, as a child finds them.

    Raises InvalidInput when it does not exist, TrainingFailed when no child can be started.
    """
    child = Child(probe_device, wanted)
    try:
        device, torch = "", None
        while messages := child.receive(PROBE_TIMEOUT_S):
            for message in messages:
                if isinstance(message, Described):
                    device, torch = str(message.facts["device"]), message.facts["torch"]
                if isinstance(message, Ended):
                    if message.error is None:
                        return device, None if torch is None else str(torch)
                    failure = InvalidInput if message.error.kind == "InvalidInput" else TrainingFailed
                    raise failure(message.error.message)
        raise TrainingFailed(
            f"No training process answered within {PROBE_TIMEOUT_S:.0f} s; is the machine overloaded?"
        )
    finally:
        child.end()
