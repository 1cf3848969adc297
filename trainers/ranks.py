"""A training on several GPUs: this process starts the ranks, hands on what they say, and trains nothing."""

from __future__ import annotations

import os
import signal
import time
from itertools import accumulate

import torch

import errors
from errors import TrainerDied, TrainingFailed, WattleError
from schema import LOOK, Checkpoint, Epochs, TrainingContext
from trainers.datasets import DATASETS
from trainers.download import fetch_missing
from trainers.encoding import decode_state, encode_state
from trainers.params import CnnHyperParams
from trainers.rank_messages import (
    Asked,
    Described,
    Ended,
    EpochEnded,
    Failed,
    Job,
    Logged,
    ModelSaved,
    ModelsCleared,
    Saved,
    Shown,
    Stepped,
    Stored,
    Watched,
    encode,
)
from trainers.rank_process import RankProcesses, Welcome

_POLL_S = 0.05
# torchrun tells within a tenth of a second which rank has died; then there is no more to wait for.
_REPORT_S = 5.0


def train_on_ranks(hyper_params: CnnHyperParams, context: TrainingContext) -> Epochs:
    """Train as ``train_cnn`` does, in ``gpus`` processes under torchrun.

    Raises TrainingFailed when there are fewer GPUs, or when a rank dies; whatever a rank itself has to
    explain is raised here as if it had happened here.
    """
    _check_gpus(hyper_params, context.device)
    _fetch_once(hyper_params, context)
    with RankProcesses(hyper_params.gpus, _welcome(hyper_params, context)) as ranks:
        relay = _Relay(ranks, context)
        while relay.ended is None:
            frames = ranks.receive(_POLL_S)
            for message, tensors in frames:
                if isinstance(message, EpochEnded):
                    yield message.result
                else:
                    relay.take(message, tensors)
            if relay.should_leave(has_heard=bool(frames)):
                return None
            relay.tell_audience()
            relay.check()
        return relay.ended.reason


class _Relay:
    """What the ranks have said so far, and what they were asked for."""

    def __init__(self, ranks: RankProcesses, context: TrainingContext) -> None:
        self._ranks = ranks
        self._context = context
        self._step = self._told_step = 0
        self._has_asked = self._is_watched = False
        self._failures: list[Failed] = []
        self._failed_s: float | None = None
        self.ended: Ended | None = None

    def take(self, message: object, tensors: bytes) -> None:
        """Hand on a message of a rank. Raises what a rank has explained."""
        match message:
            case Stepped(step=step):
                self._step = step or self._step
            case Logged(text=text):
                self._context.control.log(text)
            case Described(facts=facts):
                self._context.control.describe(facts)
            case Saved() as saved:
                self._ranks.answer(Stored(error=self._save(saved, tensors)))
            case ModelSaved() as model:
                self._ranks.answer(Stored(error=self._save_model(model, tensors)))
            case ModelsCleared():
                self._ranks.answer(Stored(error=self._clear_models()))
            case Shown(points=points, tiles=tiles, batch_size=size):
                self._context.audience.show(points, tiles, batch_size=size)
            case Failed() as failed:
                self._failures.append(failed)
                if explained := _rebuild(failed):
                    raise explained
            case Ended() as ended:
                self.ended = ended

    def should_leave(self, *, has_heard: bool) -> bool:
        """Hand a request on to rank 0; True when there is none yet, and nothing that it could save.

        has_heard: whether a rank has said something, without which nothing here is a sign of life.
        """
        step = self._step
        if step == self._told_step:
            step = 0 if has_heard else step or LOOK
        else:
            self._told_step = step
        request = self._context.control.after_step(step)
        if request is None or self._has_asked:
            return False
        self._ranks.answer(Asked(request=request))
        self._has_asked = True
        return not self._ranks.has_begun

    def tell_audience(self) -> None:
        """Let rank 0 know when somebody comes to watch, or the last one goes."""
        is_watched = self._context.audience.is_watched()
        if is_watched != self._is_watched and self._ranks.has_begun:
            self._ranks.answer(Watched(is_watched=is_watched))
            self._is_watched = is_watched

    def check(self) -> None:
        """Raise TrainerDied once it is known which rank died, and of what."""
        if self.ended is not None or not (self._failures or self._ranks.has_ended):
            return
        self._failed_s = self._failed_s or time.monotonic()
        if not self._ranks.has_ended and time.monotonic() - self._failed_s < _REPORT_S:
            return
        raise _explain(self._failures, self._ranks.failures)

    def _save_model(self, model: ModelSaved, content: bytes) -> str | None:
        if self._context.models is None:
            raise AssertionError("ranks without a place for models save none")
        try:
            self._context.models.write(model.name, _cut(content, model.sizes))
        except OSError as error:
            return str(error)
        return None

    def _clear_models(self) -> str | None:
        try:
            if self._context.models is not None:
                self._context.models.clear()
        except OSError as error:
            return str(error)
        return None

    def _save(self, saved: Saved, tensors: bytes) -> str | None:
        if self._context.checkpoints is None:
            raise AssertionError("ranks without a place for checkpoints save none")
        try:
            self._context.checkpoints.save(Checkpoint(saved.step, decode_state(tensors, saved.state)))
        except OSError as error:
            return str(error)
        return None


def _cut(content: bytes, sizes: dict[str, int]) -> dict[str, bytes]:
    """Take the files apart that were sent one behind the other."""
    ends = list(accumulate(sizes.values()))
    return {file: content[end - size : end] for (file, size), end in zip(sizes.items(), ends, strict=True)}


def _check_gpus(hyper_params: CnnHyperParams, device: str) -> None:
    if not device.startswith("cuda"):
        return
    count, first = torch.cuda.device_count(), _index_of(device)
    if first + hyper_params.gpus > count:
        raise TrainingFailed(
            f"gpus is {hyper_params.gpus}, and there are {count - first} GPUs from {device} on. Set gpus to "
            f"{count - first} or less, or start the worker on a machine that has them."
        )


def _fetch_once(hyper_params: CnnHyperParams, context: TrainingContext) -> None:
    """Download what is missing before several processes would."""
    dataset = DATASETS[hyper_params.dataset]
    if dataset.file_format not in ("embedded", "generated", "folder"):
        fetch_missing(dataset, context.datasets_dir, say=context.control.log)


def _welcome(hyper_params: CnnHyperParams, context: TrainingContext) -> Welcome:
    newest = context.checkpoints.find_newest() if context.checkpoints else None
    tensors, state = (b"", None) if newest is None else encode_state(newest.state)
    threads = max(1, torch.get_num_threads() // hyper_params.gpus)

    def welcome(rank: int) -> list[bytes]:
        is_gpu = context.device.startswith("cuda")
        job = Job(
            hyper_params=hyper_params.model_dump_json(),
            device=f"cuda:{_index_of(context.device) + rank}" if is_gpu else context.device,
            threads=threads,
            datasets_dir=os.fspath(context.datasets_dir.resolve()),
            run_id=context.run_id,
            checkpoint_every_s=context.checkpoint_every_s if context.checkpoints else None,
            has_models=context.models is not None,
            model_licence=context.model_licence,
            step=newest.step if newest else 0,
            state=state,
        )
        return [encode(job), tensors] if newest else [encode(job)]

    return welcome


def _index_of(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def _rebuild(failed: Failed) -> WattleError | None:
    """Return the error that a rank raised, if it is one of Wattle's own; None if it explains nothing."""
    kind = getattr(errors, failed.error, None)
    if isinstance(kind, type) and issubclass(kind, WattleError):
        return kind(failed.message)
    return None


def _explain(failures: list[Failed], exit_codes: dict[int, int]) -> TrainerDied:
    """Return what happened first: a rank that died without a word takes those with it that were waiting.

    By SIGTERM torchrun ends those that are left, also while they wait for one that has told why it failed.
    """
    told = {failed.rank for failed in failures}
    silent = {rank: code for rank, code in exit_codes.items() if rank not in told}
    died = {rank: code for rank, code in silent.items() if code != -signal.SIGTERM or not failures}
    if died:
        rank, code = min(died.items(), key=lambda each: (each[1] == -signal.SIGTERM, each[0]))
        return TrainerDied(f"Rank {rank} {_name_exit(code)}. The other ranks were ended.")
    if failures:
        first = failures[0]
        return TrainerDied(
            f"Rank {first.rank} failed: {first.error}: {first.message}\n{first.traceback.rstrip()}"
        )
    return TrainerDied("torchrun ended before the training; see the worker's output.")


def _name_exit(code: int) -> str:
    if code >= 0:
        return f"ended without a word (exit code {code}); see the worker's output"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    advice = ""
    if -code == signal.SIGKILL:
        advice = ". The system may have run out of memory: try a smaller batch_size"
    return f"was ended by {name}{advice}"
