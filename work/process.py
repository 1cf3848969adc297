"""Starting a training child and hearing from it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, cast

import psutil
from pydantic import ValidationError

from errors import InvalidInput, TrainingFailed
from schema import Record, Request, RunError, Scalar, SpanEnergy
from work import WORKER_PID_VARIABLE
from work.child import Job, probe_device, run_job
from work.inbox import Inbox
from work.messages import Described, Ended, Message, SpanRead, decode
from work.pulse import CELLS, Cells, Pulse
from work.stacks import Stacks

_context = multiprocessing.get_context("forkserver")
_ROOT = Path(__file__).resolve().parent.parent
PROBE_TIMEOUT_S = 120.0
# So that a trainer that logs without end cannot keep its worker from renewing the lease.
MESSAGES_AT_ONCE = 1_000
FORKSERVER_PAUSE_S = 0.2


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
    """One child process of the forkserver and the pipe to it.

    Raises TrainingFailed when none can be started.
    """

    def __init__(self, target: Any, argument: Job | str) -> None:
        self._pipe, theirs = _context.Pipe()
        self.pulse = Pulse(cast("Cells", _context.RawArray("d", CELLS)))
        try:
            self._process = _start(target, theirs, argument, self.pulse)
        except (OSError, EOFError) as error:
            self._pipe.close()
            raise TrainingFailed(
                f"No training process could be started: {error or 'no forkserver'}."
            ) from error
        finally:
            theirs.close()
        self._inbox = Inbox(self._pipe)

    def receive(self, timeout_s: float) -> list[Message]:
        """Return what has arrived, waiting at most ``timeout_s`` for the first message.

        The last message is always an Ended: a child that dies without one is reported as failed.
        """
        frames, is_over = self._inbox.take(timeout_s, most=MESSAGES_AT_ONCE)
        messages: list[Message] = []
        try:
            messages.extend(map(decode, frames))
        except ValidationError as error:
            explained = RunError(
                kind="ChildConfused",
                message=f"The training process sent no message: {error}",
                is_retryable=True,
            )
            messages.append(Ended(outcome="failed", error=explained))
        if is_over and not (messages and isinstance(messages[-1], Ended)):
            messages.append(self._explain_death())
        return messages

    def ask(self, request: Request) -> None:
        """Send a request; the child acts on it at its next step boundary."""
        # A child that has just ended cannot listen: its last message, or its death, is read next.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send_bytes(request.value.encode())

    def answer(self, energy: SpanEnergy) -> None:
        """Answer the child's SpanAsked, for which it waits."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send_bytes(SpanRead(energy=energy).model_dump_json().encode())

    def ask_stacks(self, stacks: Stacks) -> str | None:
        """Return where each of its threads stands; None when it does not say."""
        pid = self._process.pid
        return stacks.ask(pid) if pid is not None and self._process.is_alive() else None

    @property
    def pid(self) -> int | None:
        """Its id; None before it has one."""
        return self._process.pid

    def kill(self) -> None:
        """Kill it if it still runs; ``end`` waits for that."""
        self._process.kill()

    def end(self) -> None:
        """Kill it if it still runs, and wait until it is gone."""
        self._process.kill()
        self._process.join()
        self._inbox.close()

    def _explain_death(self) -> Ended:
        self._process.join(5)
        code = self._process.exitcode
        if code is None or code >= 0:
            if not _has_forkserver():
                # Its children die with it: no fault of the run.
                return Ended(outcome="stopped", reason="The worker's forkserver was ended.")
            message = (
                f"The training process ended without a word (exit code {code}); see the worker's output."
            )
            return _died(message)
        is_named = -code in set(signal.Signals)
        name = signal.Signals(-code).name if is_named else f"signal {-code}"
        advice = ""
        if -code == signal.SIGKILL:
            advice = " The system may have run out of memory: try a smaller batch_size."
        message = f"The training process was ended by {name}.{advice}"
        return _died(message)


def _died(message: str) -> Ended:
    return Ended(outcome="failed", error=RunError(kind="ChildDied", message=message, is_retryable=True))


def _start(target: Any, pipe: Connection, argument: Job | str, pulse: Pulse) -> ForkServerProcess:
    """Start a child; where the forkserver has died, with a new one."""
    for is_last in (False, True):
        process: ForkServerProcess = _context.Process(target=target, args=(pipe, argument, pulse))
        try:
            process.start()
        except (OSError, EOFError):
            if is_last:
                raise
            # Python finds out that its forkserver is gone only once the process has been reaped.
            time.sleep(FORKSERVER_PAUSE_S)
        else:
            return process
    raise AssertionError  # the second round returns or raises


def _has_forkserver() -> bool:
    children = psutil.Process().children()
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(
            child.status() != psutil.STATUS_ZOMBIE
            and "multiprocessing.forkserver" in " ".join(child.cmdline())
            for child in children
        )
    return False


class Machine(Record):
    """What a worker can train with; ``gpus`` from its device on, and the memory of the smallest of them."""

    device: str
    torch: str | None
    gpus: int = 0
    gpu_memory_gib: float | None = None
    gpu_name: str | None = None


def start_training(job: Job) -> Child:
    """Start a child that trains ``job``."""
    return Child(run_job, job)


def probe_machine(wanted: str) -> Machine:
    """Return what ``wanted`` means here, as a child finds it.

    Raises InvalidInput when it does not exist, TrainingFailed when no child can be started.
    """
    child = Child(probe_device, wanted)
    try:
        facts: dict[str, Scalar] = {}
        while messages := child.receive(PROBE_TIMEOUT_S):
            for message in messages:
                if isinstance(message, Described):
                    facts = message.facts
                if isinstance(message, Ended):
                    if message.error is None:
                        return Machine.model_validate(facts)
                    failure = InvalidInput if message.error.kind == "InvalidInput" else TrainingFailed
                    raise failure(message.error.message)
        raise TrainingFailed(
            f"No training process answered within {PROBE_TIMEOUT_S:.0f} s; is the machine overloaded?"
        )
    finally:
        child.end()
