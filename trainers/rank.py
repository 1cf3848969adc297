"""A program of its own: one rank of a training with several; torchrun starts it.

``python -m trainers.rank FOLDER PARENT_PID``. It is given its job through the socket in ``FOLDER`` and says
there how it goes.
"""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import TYPE_CHECKING

from schema import NOBODY, Checkpoint, LivePoint, LiveTile, Record, Request, Scalar, TrainingContext
from trainers.allocator import keep_freed_memory
from trainers.params import CnnHyperParams
from trainers.parent import die_with_parent
from trainers.rank_messages import (
    Asked,
    Described,
    Ended,
    EpochEnded,
    Failed,
    Job,
    Joined,
    Logged,
    ModelSaved,
    ModelsCleared,
    Saved,
    Shown,
    Stepped,
    Stored,
    Watched,
    decode_answer,
    encode,
)
from trainers.torchrun import MEETING, SOCKET

if TYPE_CHECKING:
    from trainers.distributed import Ranks

# How often the one that started the ranks hears of their steps.
_STEPPED_S = 0.05
_WORDS = (None, Request.PREEMPT, Request.FINISH)


def main() -> int:
    """Train to the end; returns 1, and has said why, when that failed."""
    folder, parent_pid = Path(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent_pid)
    keep_freed_memory()  # before torch is imported
    rank = int(os.environ["RANK"])
    with Client(str(folder / SOCKET)) as pipe:
        pipe.send_bytes(encode(Joined(rank=rank)))
        job = Job.model_validate_json(pipe.recv_bytes())
        try:
            _train(pipe, rank, job, folder / MEETING)
        except Exception as error:  # noqa: BLE001 - around a trainer: whatever it is, the run has to say it
            _tell(pipe, rank, error)
            # Not sys.exit: NCCL would wait for ranks that no longer answer.
            os._exit(1)
    return 0


class RankControl:
    """The Control of a rank: rank 0 hears and speaks, and all agree on what it heard."""

    def __init__(self, pipe: Connection, team: Ranks) -> None:
        self._pipe = pipe
        self._team = team
        self._request: Request | None = None
        self._stepped_s = 0.0
        self._is_watched = False
        # Connection.poll makes a selector each time, 50 µs: per cent of a step on small images.
        self._arrivals = select.poll()
        self._arrivals.register(pipe.fileno(), select.POLLIN)

    def after_step(self, step: int) -> Request | None:
        """Return what rank 0 was asked for, the same on every rank; step 0 only is a sign of life."""
        if step == 0:
            # Ranks evaluate different numbers of batches: no moment for all of them to agree.
            if self._team.rank == 0:
                self._say_step(step)
            return None
        if self._team.rank == 0:
            self._say_step(step)
            while self._arrivals.poll(0):
                self.hear()
        return _WORDS[self._team.agree(_WORDS.index(self._request))]

    def log(self, text: str) -> None:
        """Send a line for the run's log; what another rank has to say, rank 0 says too."""
        if self._team.rank == 0:
            self._pipe.send_bytes(encode(Logged(text=_printable(text))))

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Send facts; they are the same on every rank."""
        if self._team.rank == 0:
            self._pipe.send_bytes(encode(Described(facts=dict(facts))))

    def hear(self) -> Stored | None:
        """Wait for the next answer; a request is kept for the end of the step."""
        match decode_answer(self._pipe.recv_bytes()):
            case Asked(request=request):
                self._request = request
            case Watched(is_watched=is_watched):
                self._is_watched = is_watched
            case Stored() as stored:
                return stored
        return None

    def is_watched(self) -> bool:
        """Whether somebody watches the run live, as rank 0 has heard."""
        return self._is_watched

    def show(self, points: Sequence[LivePoint], tiles: Sequence[LiveTile], *, batch_size: int) -> None:
        """Send what those who watch are to see."""
        shown = Shown(points=tuple(points), tiles=tuple(tiles), batch_size=batch_size)
        self._pipe.send_bytes(encode(shown))

    def ask(self, message: Record, content: bytes | None = None) -> None:
        """Have something done by the process that started the ranks. Raises OSError when it failed there."""
        self._pipe.send_bytes(encode(message))
        if content is not None:
            self._pipe.send_bytes(content)
        stored = None
        while stored is None:
            stored = self.hear()
        if stored.error is not None:
            raise OSError(stored.error)

    def _say_step(self, step: int) -> None:
        now_s = time.monotonic()
        if now_s - self._stepped_s >= _STEPPED_S:
            self._pipe.send_bytes(encode(Stepped(step=step)))
            self._stepped_s = now_s


class RelayedCheckpoints:
    """The run's checkpoints, kept by the process that started the ranks. Only rank 0 sends them."""

    def __init__(self, team: Ranks, control: RankControl, newest: Checkpoint | None) -> None:
        self._team = team
        self._control = control
        self._newest = newest

    def save(self, checkpoint: Checkpoint) -> None:
        """Have a checkpoint kept, and wait until it is. Raises OSError on rank 0."""
        from trainers.encoding import encode_state

        if self._team.rank == 0:
            tensors, state = encode_state(checkpoint.state)
            self._control.ask(Saved(step=checkpoint.step, state=state), tensors)

    def find_newest(self) -> Checkpoint | None:
        """Return the checkpoint that came with the job."""
        return self._newest


class RelayedModels:
    """The run's models, kept by the process that started the ranks. Rank 0 alone has this."""

    def __init__(self, control: RankControl) -> None:
        self._control = control

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Have a model kept, and wait until it is. Raises OSError."""
        sizes = {file: len(content) for file, content in files.items()}
        self._control.ask(ModelSaved(name=name, sizes=sizes), b"".join(files.values()))

    def clear(self) -> None:
        """Have the models deleted, and wait until they are. Raises OSError."""
        self._control.ask(ModelsCleared())


def _train(pipe: Connection, rank: int, job: Job, meeting: Path) -> None:
    import torch

    from trainers.cnn import train_cnn
    from trainers.device import set_threads
    from trainers.distributed import Ranks

    newest = _receive_checkpoint(pipe, job)
    set_threads(job.threads)
    hyper_params = CnnHyperParams.model_validate_json(job.hyper_params)
    team = Ranks(rank, hyper_params.gpus, torch.device(job.device), meeting)
    control = RankControl(pipe, team)
    has_place = job.checkpoint_every_s is not None
    context = TrainingContext(
        datasets_dir=Path(job.datasets_dir),
        device=job.device,
        control=control,
        run_id=job.run_id,
        models=RelayedModels(control) if rank == 0 and job.has_models else None,
        model_licence=job.model_licence,
        checkpoints=RelayedCheckpoints(team, control, newest) if has_place else None,
        checkpoint_every_s=job.checkpoint_every_s or 0.0,
        audience=control if rank == 0 else NOBODY,
    )
    epochs = train_cnn(hyper_params, context, team=team)
    while True:
        try:
            result = next(epochs)
        except StopIteration as end:
            reason: str | None = end.value
            break
        if rank == 0:
            pipe.send_bytes(encode(EpochEnded(result=result)))
    # Before they part: who breaks down in that cannot fail a training that is over.
    if rank == 0:
        pipe.send_bytes(encode(Ended(reason=reason)))
    team.part_ways()


def _receive_checkpoint(pipe: Connection, job: Job) -> Checkpoint | None:
    from trainers.encoding import decode_state

    return None if job.state is None else Checkpoint(job.step, decode_state(pipe.recv_bytes(), job.state))


def _tell(pipe: Connection, rank: int, error: Exception) -> None:
    trace = _printable("".join(traceback.format_exception(error)))
    failed = Failed(rank=rank, error=type(error).__name__, message=_printable(str(error)), traceback=trace)
    pipe.send_bytes(encode(failed))


def _printable(text: str) -> str:
    """Replace lone surrogates, which a path of undecodable bytes brings along and JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()


if __name__ == "__main__":
    sys.exit(main())
