"""A training under way: everything that changes while a network learns, in one place."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from errors import TrainingFailed
from trainers.augmentation import cut_holes, draw
from trainers.data import Data
from trainers.optimizers import build_optimizer
from trainers.params import CnnHyperParams
from trainers.precision import autocast, resolve_precision
from trainers.schedules import learning_rate_at
from trainers.stopping import Progress
from trainers.team import ALONE, Forward, Team

# Far from the seeds that people choose. Source: D. Knuth, "The Art of Computer Programming", 6.4: 2^32 / phi.
_SEED_STEP: Final = 0x9E3779B1
# cuda_graphs records a batch's kernels once and replays them, which saves the time of starting each.
_COMPILE_MODES: Final = {"default": None, "cuda_graphs": "reduce-overhead"}


class Batch(NamedTuple):
    """A batch that has just been learnt: uint8 images as they were augmented, logits and labels."""

    images: Tensor
    logits: Tensor
    labels: Tensor


@dataclass(frozen=True)
class State:
    """Everything needed to go on exactly: leave one part out and the weights come out different.

    Tensors are copies on the device they were on. ``figures`` is of the epoch under way, one row per batch;
    the generators of torch have one row per rank. The same on every rank.
    """

    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    torch_rng: Tensor
    device_rng: Tensor | None
    shuffle: Tensor
    """The generator at the start of the epoch: with ``batch`` it tells which images are still to come."""
    epoch: int
    batch: int
    step: int
    figures: Tensor
    precision: str
    progress: Progress
    elapsed_s: float
    """What the epoch under way has taken so far."""


class Training:
    """A network that learns ``data``; ``epoch``, ``batch`` and ``step`` say how far it is.

    Seeds torch's generators, which draw dropout. The network is on the data's device, channels last. In a
    ``team`` it learns this rank's share of every batch, and the weights stay the same on every rank.
    """

    def __init__(
        self, network: nn.Module, data: Data, hyper_params: CnnHyperParams, team: Team = ALONE
    ) -> None:
        self.network = network
        self.data = data
        self.hyper_params = hyper_params
        self.device = data.device
        self.team = team
        self._forward = team.join(network)
        self.optimizer = build_optimizer(network, hyper_params)
        self._compiled: Forward | None = None
        self.mark: Callable[[], None] = unmarked
        self.keeps_latest = False
        self.latest: Batch | None = None
        """The batch that was learnt after ``keeps_latest`` was set."""
        self._choose_precision(resolve_precision(hyper_params.precision, self.device))
        self._shuffle = torch.Generator().manual_seed(hyper_params.seed)
        # Another mask of dropout on every rank. Only 32 bits of a seed count on a CPU.
        torch.manual_seed((hyper_params.seed + team.rank * _SEED_STEP) % 2**32)
        self.step, self.progress = 0, Progress()
        self._clock_start_s: float | None = None
        self._start_epoch(1)

    def capture(self) -> State:
        """Return a copy of the state; call it between two steps or epochs, on every rank. A sync point."""
        is_gpu = self.device.type == "cuda"
        return State(
            network={name: value.detach().clone() for name, value in self.network.state_dict().items()},
            optimizer=_copy(self.optimizer.state_dict()),
            scaler=_copy(self.scaler.state_dict()),
            torch_rng=self.team.gather(torch.get_rng_state()),
            device_rng=self.team.gather(torch.cuda.get_rng_state(self.device)) if is_gpu else None,
            shuffle=self._epoch_start.clone(),
            epoch=self.epoch,
            batch=self.batch,
            step=self.step,
            figures=self.team.add(self._figures.clone()),
            precision=self.precision,
            progress=self.progress,
            elapsed_s=self.elapsed_s,
        )

    def restore(self, state: State) -> None:
        """Go on from ``state``, on every rank, in the precision of the first attempt, which changes bits."""
        if self.team.size > 1 and state.step > 0:
            # DistributedDataParallel groups the gradients anew after a process's first step, which changes
            # the order of sums. What is learnt here is replaced below.
            self.learn_batch()
        self._choose_precision(resolve_precision(state.precision, self.device))
        self.network.load_state_dict(state.network)
        # A copy: the optimizer goes on in the tensors it is given.
        self.optimizer.load_state_dict(_copy(state.optimizer))
        self.scaler.load_state_dict(state.scaler)
        self._shuffle.set_state(state.shuffle)
        self._start_epoch(state.epoch, batch=state.batch)
        self.resumed_after_s = state.elapsed_s
        self.step, self.progress = state.step, state.progress
        # They are of all ranks together.
        if self.team.rank == 0:
            self._figures = state.figures.to(self.device, copy=True)
        # Ranks that the state does not know go on from their own seed. clone: torch takes a tensor's memory
        # for a generator's state from its start, where the first row is.
        if self.team.rank < len(state.torch_rng):
            torch.set_rng_state(state.torch_rng[self.team.rank].clone())
        if state.device_rng is not None and self.team.rank < len(state.device_rng):
            torch.cuda.set_rng_state(state.device_rng[self.team.rank].clone(), self.device)

    def compile(self) -> float:
        """Compile the network for full batches and return the seconds that took; the state stays as it is."""
        start_s = time.monotonic()
        before = self.capture()
        mode = _COMPILE_MODES[self.hyper_params.compile]
        self._compiled = torch.compile(self.network, mode=mode, dynamic=False)
        self.learn_batch()
        self.restore(before)
        return time.monotonic() - start_s

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of an epoch."""
        return len(self._draws)

    @property
    def is_epoch_complete(self) -> bool:
        """True when every batch of the epoch has been learnt."""
        return self.batch == self.steps_per_epoch

    @property
    def elapsed_s(self) -> float:
        """What the epoch has taken so far, all attempts together, from ``start_clock`` on."""
        here_s = 0.0 if self._clock_start_s is None else time.monotonic() - self._clock_start_s
        return self.resumed_after_s + here_s

    def start_clock(self) -> None:
        """Begin, or go on, to count the epoch's time."""
        self._clock_start_s = time.monotonic()

    def learn_batch(self) -> None:
        """Take one optimiser step on the epoch's next batch, without a sync."""
        self.mark()
        chosen = self._draws[self.batch]
        pixels, labels = next(self._loading)
        self.network.train()
        self._set_learning_rate()
        images = cut_holes(self.data.normalise(pixels), chosen.to(self.device))
        self.mark()
        with self.autocast:
            logits = self._choose_forward(images)(images)
            loss = self._score(logits, labels, smoothing=self.hyper_params.label_smoothing)
        self.mark()
        self.optimizer.zero_grad()
        self._scale(loss).backward()
        self.mark()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.mark()
        self._note(loss.detach(), logits.detach(), labels)
        if self.keeps_latest:
            self.latest = Batch(pixels, logits.detach(), labels)

    def copy_losses(self, count: int) -> Tensor:
        """Return the mean losses of the epoch's last ``count`` batches, without a sync.

        In a team they are those of this rank's images, before ``add_up``.
        """
        losses = self._figures[self.batch - count : self.batch, 0].clone()
        if self.team.size > 1:
            # What it added to the mean of the batch; the last batch is smaller than the others.
            whole, last = (self._sizes[place] / max(1, len(self._draws[place])) for place in (0, -1))
            losses *= whole
            if self.is_epoch_complete:
                losses[-1:] *= last / whole
        return losses

    def add_up(self) -> None:
        """Make the epoch's figures those of all ranks, on every rank."""
        self._figures = self.team.add(self._figures)

    def score_epoch(self) -> Tensor:
        """Return mean loss and accuracy over the epoch's batches, on the device."""
        _, losses, correct = self._figures.unbind(1)
        return torch.stack([losses.sum(), correct.sum()]) / len(self.data.train)

    def locate_first_bad_batch(self) -> Tensor:
        """Return the number of batches before the first whose loss is no number, on the device."""
        return self._figures[:, 0].isfinite().cumprod(0).sum()

    def explain_divergence(self, good_batches: int) -> TrainingFailed:
        """Return the error that names the step whose loss is no number, or that made the weights none."""
        first = min(self.step - self.steps_per_epoch + good_batches + 1, self.step)
        return TrainingFailed(
            f"The loss is no longer a number at step {first}, in epoch {self.epoch}, with "
            f"{self.hyper_params.optimizer} at learning rate {self._learning_rate_at(first):g}. "
            "Try a learning rate ten times smaller."
        )

    def end_epoch(self, validation_loss: float | None, validation_accuracy: float | None) -> None:
        """Note what the epoch achieved on held-out images and draw the order of the next one."""
        self.progress = self.progress.after(self.hyper_params, validation_loss, validation_accuracy)
        self._start_epoch(self.epoch + 1)

    def _start_epoch(self, epoch: int, *, batch: int = 0) -> None:
        """Draw the epoch from the generator and start loading it after its first ``batch`` batches."""
        self._epoch_start = self._shuffle.get_state()
        drawn = draw(
            self.hyper_params.augmentation,
            count=len(self.data.train),
            side=self.data.side,
            generator=self._shuffle,
        )
        batches = drawn.to(self.data.train.home).cut(self.hyper_params.images_per_step)
        self._sizes = [len(batch) for batch in batches]
        self._draws = [self.team.share(batch) for batch in batches]
        self._loading = self.data.train.load(self._draws[batch:])
        self.epoch, self.batch = epoch, batch
        self.resumed_after_s, self._clock_start_s = 0.0, None
        self._figures = torch.zeros(self.steps_per_epoch, 3, dtype=torch.float64, device=self.device)

    def _choose_forward(self, images: Tensor) -> Forward:
        # The epoch's last batch has another shape: compiling for that one too would take as long again.
        is_full = len(images) == self.hyper_params.images_per_step
        return self._forward if self._compiled is None or not is_full else self._compiled

    def _score(self, logits: Tensor, labels: Tensor, *, smoothing: float) -> Tensor:
        """Return what this rank's images add to the batch's mean loss; when alone, all of it."""
        if self.team.size == 1:
            return cross_entropy(logits, labels, label_smoothing=smoothing)
        # Not the mean of a share: shares differ by an image, and the last ones of an epoch may be empty.
        total = cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
        return total / self._sizes[self.batch]

    def _scale(self, loss: Tensor) -> Tensor:
        """Return the loss to derive: the ranks' gradients are averaged where they should be added."""
        scaled: Tensor = self.scaler.scale(loss if self.team.size == 1 else loss * self.team.size)
        return scaled

    def _choose_precision(self, precision: str) -> None:
        self.precision = precision
        self.autocast = autocast(self.device, precision)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")

    def _learning_rate_at(self, step: int) -> float:
        return learning_rate_at(step, self.hyper_params, steps_per_epoch=self.steps_per_epoch)

    def _set_learning_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate_at(self.step + 1)

    def _note(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Keep the batch's loss as it was learnt, the sum of its plain losses, and its right answers."""
        plain = loss
        if self.hyper_params.label_smoothing:
            plain = self._score(logits.float(), labels, smoothing=0.0)
        row = torch.stack([loss, *tally(plain, logits, labels, count=self._sizes[self.batch])])
        self._figures[self.batch] = row
        self.batch += 1
        self.step += 1


def unmarked() -> None:
    """Note nothing about a step's phases: only a profile wants to know them."""


def tally(loss: Tensor, logits: Tensor, labels: Tensor, *, count: int) -> Tensor:
    """Return the sum of ``count`` losses of that mean, and the number of right answers, without a sync."""
    correct = (logits.argmax(dim=1) == labels).sum()
    return torch.stack([loss.double() * count, correct.double()])


def is_finite(figures: list[list[float]]) -> bool:
    """Return True when every figure is a number."""
    return all(math.isfinite(figure) for row in figures for figure in row)


def _copy(value: Any) -> Any:
    """Copy the tensors in a state_dict: torch hands out its own."""
    match value:
        case Tensor():
            return value.detach().clone()
        case dict():
            return {key: _copy(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(_copy(item) for item in value)
        case _:
            return value
