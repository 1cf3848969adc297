"""The training child: it only trains. It never talks to Redis; its worker records what it sends."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from errors import WattleError
from schema import Request, RunError, Scalar, TrainingContext
from work.messages import Described, Ended, EpochEnded, Logged, Message, encode


@dataclass(frozen=True)
class Job:
    """What a child is given: complete hyper_params, and where to train."""

    hyper_params: dict[str, object]
    device: str
    threads: int
    datasets_dir: Path
    run_id: str
    scripts_dir: Path | None
    api_url: str


class PipeControl:
    """The Control of a child: requests arrive on the pipe, everything said leaves on it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._request: Request | None = None

    def after_step(self, step: int) -> Request | None:  # noqa: ARG002 - the step bounds checkpoints, not requests
        """Return what the worker asked for; exits when the worker is gone (the pipe is closed)."""
        if self._request is None and self._pipe.poll():
            try:
                self._request = Request(self._pipe.recv_bytes().decode())
            except EOFError:
                os._exit(1)
        return self._request

    def log(self, text: str) -> None:
        """Send a line for the run's log."""
        self.send(Logged(text=text))

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Send facts about how this run is run."""
        self.send(Described(facts=dict(facts)))

    def send(self, message: Message) -> None:
        """Send one message to the worker."""
        self._pipe.send_bytes(encode(message))


def run_job(pipe: Connection, job: Job) -> None:
    """Train ``job`` and send every epoch; the target of the child process."""
    _enter()
    control = PipeControl(pipe)
    try:
        reason = _train(job, control)
        control.send(Ended(outcome="stopped" if control.after_step(0) else "done", reason=reason))
    except Exception as error:  # noqa: BLE001 - around a trainer: foreign code may raise anything
        control.send(Ended(outcome="failed", error=_explain(error)))
    pipe.close()


def probe_device(pipe: Connection, wanted: str) -> None:
    """Send the device that ``wanted`` (auto, cpu, cuda:N) means on this machine, and the version of torch."""
    _enter()
    from trainers.probe import probe

    control = PipeControl(pipe)
    try:
        control.describe(probe(wanted))
        control.send(Ended(outcome="done"))
    except WattleError as error:
        control.send(Ended(outcome="failed", error=_explain(error)))
    pipe.close()


def _enter() -> None:
    """Make this process one that dies with its worker and leaves signals to it."""
    preload = sys.modules.get("work.preload")
    if preload is None:
        # The forkserver swallows an ImportError of its preload; without it the allocator is untuned
        # and the child would outlive its worker.
        sys.stderr.write("The forkserver could not import work.preload: is Wattle installed completely?\n")
        os._exit(3)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload.die_with_parent(preload.FORKSERVER_PID)


def _train(job: Job, control: PipeControl) -> str | None:
    """Train and send every epoch; return why the training ended before its last epoch, or None."""
    from trainers import load_trainer, validate_hyper_params

    if sys.modules.get("torch"):
        from trainers.device import set_threads

        set_threads(job.threads)
    hyper_params = validate_hyper_params(
        job.hyper_params,
        datasets_dir=job.datasets_dir,
        default_dataset=None,
        scripts_dir=job.scripts_dir,
    )
    train = load_trainer(hyper_params.trainer)
    context = TrainingContext(
        datasets_dir=job.datasets_dir,
        device=job.device,
        control=control,
        run_id=job.run_id,
        scripts_dir=job.scripts_dir,
        api_url=job.api_url,
    )
    epochs = train(hyper_params, context)
    while True:
        try:
            result = next(epochs)
        except StopIteration as end:
            reason: str | None = end.value
            return reason
        end_ns = time.monotonic_ns()
        start_ns = end_ns - round(result.duration_s * 1e9)
        control.send(EpochEnded(result=result, start_ns=start_ns, end_ns=end_ns))


def _explain(error: Exception) -> RunError:
    return RunError(
        kind=type(error).__name__,
        message=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )
