"""The training child: it only trains. It never talks to Redis; its worker records what it sends."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from errors import DownloadInterrupted, TrainerDied, WattleError
from schema import (
    EpochResult,
    Epochs,
    LivePoint,
    LiveTile,
    Request,
    RunError,
    Scalar,
    SpanEnergy,
    TrainingContext,
)
from work.handed_out import HandedOut
from work.messages import (
    Described,
    Ended,
    EpochEnded,
    Logged,
    Message,
    Shown,
    SpanAsked,
    SpanRead,
    Spent,
    encode,
)
from work.pulse import Pulse
from work.saving import HeldCheckpoints, HeldModels
from work.stacks import listen_for_stacks


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
    checkpoint_url: str
    checkpoint_every_s: float
    model_url: str
    model_licence: str | None
    recorded_epochs: frozenset[int]
    """What the store has of earlier attempts."""
    stacks: Path | None = None
    """Where to write on SIGUSR1 where each thread stands."""


class PipeControl:
    """The Control of a child: requests arrive on the pipe, everything said leaves on it."""

    def __init__(self, pipe: Connection, pulse: Pulse) -> None:
        self._pipe = pipe
        self._pulse = pulse
        self._request: Request | None = None
        self._told: Request | None = None
        # Connection.poll makes a selector each time, 50 µs: per cent of a step on small images.
        self._arrivals = select.poll()
        self._arrivals.register(pipe.fileno(), select.POLLIN)

    def after_step(self, step: int) -> Request | None:
        """Return what the worker asked for; exits when the worker is gone (the pipe is closed)."""
        self._pulse.note_step(step)
        if self._request is None and self._arrivals.poll(0):
            self._hear()
        self._told = self._request
        return self._request

    @property
    def has_stopped(self) -> bool:
        """Whether the trainer was told to stop: one that ends without having been told is done."""
        return self._told not in (None, Request.FINISH)

    def log(self, text: str) -> None:
        """Send a line for the run's log."""
        self.send(Logged(text=_printable(text)))

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Send facts about how this run is run."""
        self.send(Described(facts=dict(facts)))

    def measure(self, start_ns: int, end_ns: int) -> SpanEnergy:
        """Ask the worker, which has the meter, what was used in a span, and wait for its answer."""
        self.send(SpanAsked(span_ns=(start_ns, end_ns)))
        while (answer := self._hear()) is None:
            pass
        return answer

    def charge(self, name: str, start_ns: int, end_ns: int) -> None:
        """Have what a span used added to the run's energy."""
        self.send(Spent(name=name, span_ns=(start_ns, end_ns)))

    def is_watched(self) -> bool:
        """Whether somebody watches the run live."""
        return self._pulse.is_watched()

    def show(self, points: Sequence[LivePoint], tiles: Sequence[LiveTile], *, batch_size: int) -> None:
        """Send what those who watch are to see."""
        self.send(Shown(points=tuple(points), tiles=tuple(tiles), batch_size=batch_size))

    def _hear(self) -> SpanEnergy | None:
        """Take one frame from the worker: an answer, or a request, which is noted."""
        try:
            frame = self._pipe.recv_bytes()
        except EOFError:
            os._exit(1)
        if frame.startswith(b"{"):
            return SpanRead.model_validate_json(frame).energy
        self._request = Request(frame.decode())
        return None

    def send(self, message: Message) -> None:
        """Send one message to the worker."""
        self._pipe.send_bytes(encode(message))


def run_job(pipe: Connection, job: Job, pulse: Pulse) -> None:
    """Train ``job`` and send every epoch; the target of the child process."""
    _enter()
    if job.stacks is not None:
        listen_for_stacks(job.stacks)
    control = PipeControl(pipe, pulse)
    try:
        control.send(_train(job, control, pulse))
    except Exception as error:  # noqa: BLE001 - around a trainer: foreign code may raise anything
        control.send(Ended(outcome="failed", error=explain(error)))
    pipe.close()


def probe_device(pipe: Connection, wanted: str, pulse: Pulse) -> None:
    """Send the device that ``wanted`` (auto, cpu, cuda:N) means on this machine, and the version of torch."""
    _enter()
    from trainers.probe import probe

    control = PipeControl(pipe, pulse)
    try:
        control.describe(probe(wanted))
        control.send(Ended(outcome="done"))
    except WattleError as error:
        control.send(Ended(outcome="failed", error=explain(error)))
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


def _train(job: Job, control: PipeControl, pulse: Pulse) -> Ended:
    """Train and send every epoch; return how the training ended."""
    from trainers import load_trainer, validate_hyper_params

    checkpoints = _open_checkpoints(job, pulse) if sys.modules.get("torch") else None
    models = _open_models(job, pulse) if checkpoints else None
    hyper_params = validate_hyper_params(
        job.hyper_params, datasets_dir=job.datasets_dir, default_dataset=None, scripts_dir=job.scripts_dir
    )
    train = load_trainer(hyper_params.trainer)
    context = TrainingContext(
        datasets_dir=job.datasets_dir,
        device=job.device,
        control=control,
        run_id=job.run_id,
        scripts_dir=job.scripts_dir,
        api_url=job.api_url,
        checkpoints=checkpoints,
        checkpoint_every_s=job.checkpoint_every_s,
        measure=control.measure,
        charge=control.charge,
        audience=control,
        models=models,
        model_licence=job.model_licence,
    )
    if job.recorded_epochs and checkpoints is not None and not checkpoints.results:
        control.log(f"This host finds no checkpoint under {job.checkpoint_url}: the run starts again.")
    for result in checkpoints.results if checkpoints else ():
        if result.epoch not in job.recorded_epochs:
            control.send(EpochEnded(result=result, span_ns=None))
    reason, last_epoch = _send_epochs(train(hyper_params, context), control, checkpoints)
    # What is done is done, also when a wish to stop it came at the last moment.
    is_complete = reason is not None or last_epoch >= hyper_params.num_epochs
    return Ended(
        outcome="stopped" if control.has_stopped and not is_complete else "done",
        reason=reason,
        has_saved_models=models is not None and models.are_written,
    )


def _open_checkpoints(job: Job, pulse: Pulse) -> HandedOut:
    from trainers.checkpoints import open_checkpoints
    from trainers.device import set_threads

    set_threads(job.threads)
    return HandedOut(HeldCheckpoints(open_checkpoints(job.checkpoint_url, job.run_id), pulse))


def _open_models(job: Job, pulse: Pulse) -> HeldModels:
    from trainers.saved_models import open_models

    return HeldModels(open_models(job.model_url, job.run_id), pulse)


def _send_epochs(
    epochs: Epochs, control: PipeControl, checkpoints: HandedOut | None
) -> tuple[str | None, int]:
    """Send every epoch; return why the training ended before the last one, and the last one it reached."""
    last_epoch = 0
    while True:
        try:
            unchecked = next(epochs)
        except StopIteration as end:
            return end.value, last_epoch
        end_ns = time.monotonic_ns()
        # A trainer may have built it past pydantic's checks; here its mistake is its own failure.
        result = EpochResult.model_validate(unchecked.model_dump())
        start_ns = end_ns - round((result.duration_s - (result.resumed_after_s or 0.0)) * 1e9)
        control.send(EpochEnded(result=result, span_ns=(start_ns, end_ns)))
        last_epoch = result.epoch
        if checkpoints is not None:
            checkpoints.results.append(result)


def explain(error: Exception) -> RunError:
    """Return what a trainer raised as the error of its run."""
    return RunError(
        kind=type(error).__name__,
        message=_printable(str(error)) or type(error).__name__,
        traceback=_printable("".join(traceback.format_exception(error))),
        # What Wattle explains would happen again; foreign code, a disk or a network may do better next time.
        is_retryable=isinstance(error, TrainerDied | DownloadInterrupted)
        or not isinstance(error, WattleError),
    )


def _printable(text: str) -> str:
    """Replace lone surrogates, which a path of undecodable bytes brings along and JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()
