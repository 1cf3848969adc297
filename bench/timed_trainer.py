"""The trainer ``cnn`` with a clock around everything in its process that is not the training loop.

It is registered for bench.overhead alone. A run of it describes itself with the CPU seconds of its span, from
the end of its first epoch to the end of its last: its own, by purpose, and those of the processes around it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, Self

from pydantic import Field

from carbon_aware_trainer.energy.process_tree import open_processes
from schema import Checkpoint, CheckpointStore, Control, Epochs, Request, Scalar, TrainingContext
from trainers import TrainerSpec
from trainers.datasets import DATASETS, DataFile, Dataset
from trainers.params import CnnHyperParams
from work import WORKER_PID_VARIABLE


class TimedHyperParams(CnnHyperParams):
    """Those of cnn; its dataset mnist are files of any content."""

    trainer: Literal["timed"] = "timed"  # type: ignore[assignment] # another name is the whole point
    redis_pid: int = Field(ge=1)


@dataclass(frozen=True)
class Cpu:
    """CPU seconds since each process began; ``wall_s`` is a clock."""

    loop_s: float
    sending_s: float
    checkpoints_s: float
    worker_s: float
    forkserver_s: float
    redis_s: float
    wall_s: float

    def since(self, start: Cpu) -> Self:
        """Return what was used from ``start`` until here."""
        return replace(
            self,
            **{field.name: getattr(self, field.name) - getattr(start, field.name) for field in fields(self)},
        )


class Stopwatch:
    """The CPU seconds that this thread spent on one purpose."""

    def __init__(self) -> None:
        self.used_s = 0.0

    @contextmanager
    def __call__(self) -> Generator[None]:
        """Count what is done inside."""
        start_s = time.thread_time()
        try:
            yield
        finally:
            self.used_s += time.thread_time() - start_s


class TimedControl:
    """A Control whose use is timed."""

    def __init__(self, control: Control, sending: Stopwatch) -> None:
        self._control = control
        self._sending = sending

    def after_step(self, step: int) -> Request | None:
        """Pass it on. Written out, since a context manager would cost as much as what it measures."""
        start_s = time.thread_time()
        request = self._control.after_step(step)
        self._sending.used_s += time.thread_time() - start_s
        return request

    def log(self, text: str) -> None:
        """Pass it on."""
        with self._sending():
            self._control.log(text)

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Pass it on."""
        with self._sending():
            self._control.describe(facts)


class TimedCheckpoints:
    """A CheckpointStore whose use is timed."""

    def __init__(self, checkpoints: CheckpointStore, saving: Stopwatch) -> None:
        self._checkpoints = checkpoints
        self._saving = saving

    def save(self, checkpoint: Checkpoint) -> None:
        """Pass it on."""
        with self._saving():
            self._checkpoints.save(checkpoint)

    def find_newest(self) -> Checkpoint | None:
        """Pass it on."""
        return self._checkpoints.find_newest()


def train_timed(hyper_params: TimedHyperParams, context: TrainingContext) -> Epochs:
    """Train as cnn does and describe the run with what its span took."""
    from trainers.cnn import train_cnn

    assert context.checkpoints is not None
    sending, saving = Stopwatch(), Stopwatch()
    timed = replace(
        context,
        control=TimedControl(context.control, sending),
        checkpoints=TimedCheckpoints(context.checkpoints, saving),
    )
    read = _reader(hyper_params.redis_pid, sending, saving)
    epochs = train_cnn(hyper_params, timed, datasets={"mnist": unchecked(DATASETS["mnist"])})
    start = now = read()
    for result in epochs:
        now = read()
        start = now if result.epoch == 1 else start
        # While it is suspended here, the child checks the result and sends it.
        with sending():
            yield result
    context.control.describe({f"timed_{name}": value for name, value in asdict(now.since(start)).items()})
    return None


def unchecked(dataset: Dataset) -> Dataset:
    """Return a dataset whose files may have any content of its format."""
    train, test = (
        tuple(DataFile(file.path) for file in part) for part in (dataset.train_files, dataset.test_files)
    )
    return replace(dataset, train_files=train, test_files=test)


def _reader(redis_pid: int, sending: Stopwatch, saving: Stopwatch) -> Callable[[], Cpu]:
    worker_pid, forkserver_pid = int(os.environ[WORKER_PID_VARIABLE]), os.getppid()

    def read() -> Cpu:
        own_s = time.process_time()
        return Cpu(
            loop_s=own_s - sending.used_s - saving.used_s,
            sending_s=sending.used_s,
            checkpoints_s=saving.used_s,
            worker_s=_read_cpu_s(worker_pid),
            forkserver_s=_read_cpu_s(forkserver_pid),
            redis_s=_read_cpu_s(redis_pid),
            wall_s=time.monotonic(),
        )

    return read


def _read_cpu_s(pid: int) -> float:
    cpu_s = open_processes(pid).find_cpu_s(pid)
    assert cpu_s is not None, f"process {pid} is gone"
    return cpu_s


TIMED = TrainerSpec(
    name="timed",
    title="Timed",
    summary="For bench.overhead: cnn with a clock around it.",
    hyper_params=TimedHyperParams,
    entry="bench.timed_trainer:train_timed",
)
