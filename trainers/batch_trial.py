"""Trying batch sizes before a training: a few steps with each, after which everything is as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psutil
import torch
from torch import Tensor, nn

from schema import Control, Measure, TrainingContext
from trainers import batch_size
from trainers.batch_size import Trial
from trainers.data import Data
from trainers.params import CnnHyperParams
from trainers.training import Training

# With the same load as the span that follows, so that a counter that lags sees no other power at its start.
WARM_UP_S = 0.2
SPAN_S, LEAST_STEPS = 1.0, 3
# Of all sizes together; a size that would not fit in is not begun.
LIMIT_S = 12.0
# So many sizes in a row that are worse than the best one so far end the trial.
PATIENCE = 2
# On a GPU the steps are only queued: it is waited for about so often.
_BLOCK_S = 0.1
_SMALLER = (16, 8, 4, 2)
# Of the memory that is free on a CPU; a GPU says itself when it has none left.
_MEMORY_SHARE = 0.5
_GIB: Final = 2**30


class _AskedToStop(Exception):
    """The worker wants the run to stop: nothing is chosen."""


def fix_batch_size(
    network: nn.Module,
    data: Data,
    hyper_params: CnnHyperParams,
    context: TrainingContext,
    *,
    limit_bytes: int | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> CnnHyperParams | None:
    """Return hyper_params with the batch size that takes the fewest joules per image, and its learning rate.

    None when the worker asks to stop. limit_bytes: what a step's values may take, by default half of a CPU's
    free memory. The network and torch's generators are left as they were. Raises torch.OutOfMemoryError when
    not even two images fit.
    """
    trying = _Trying(network, data, hyper_params, context, limit_bytes=limit_bytes, clock=clock)
    start_ns = clock()
    try:
        trials = trying.run()
    except _AskedToStop:
        return None
    finally:
        context.charge("batch_trial", start_ns, clock())
        if data.device.type == "cuda":
            torch.cuda.empty_cache()
    duration_s = (clock() - start_ns) / 1e9
    fixed = batch_size.scale(hyper_params, batch_size.choose(trials).batch_size)
    is_metered = batch_size.choose_yardstick(trials) == "J"
    compared_by = "joules" if is_metered else f"seconds: {trying.reason or 'no energy was read.'}"
    _record(context.control, fixed, trials, compared_by, duration_s)
    return fixed


def _record(
    control: Control, fixed: CnnHyperParams, trials: list[Trial], compared_by: str, duration_s: float
) -> None:
    control.log(
        f"batch size {fixed.batch_size}, learning rate {fixed.learning_rate:.4g}, compared by {compared_by}; "
        f"this took {duration_s:.1f} s"
    )
    control.describe(
        {
            "chosen_batch_size": fixed.batch_size,
            "scaled_learning_rate": fixed.learning_rate,
            "batch_trial": batch_size.describe(trials),
            "batch_trial_by": compared_by,
            "batch_trial_s": round(duration_s, 2),
        }
    )


class _Trying:
    """The candidates of one run and what is known of them so far."""

    def __init__(
        self,
        network: nn.Module,
        data: Data,
        hyper_params: CnnHyperParams,
        context: TrainingContext,
        *,
        limit_bytes: int | None,
        clock: Callable[[], int],
    ) -> None:
        self._network = network
        self._data = data
        self._hyper_params = hyper_params
        self._control = context.control
        self._measure: Measure = context.measure
        self._clock = clock
        self._limit_bytes = _free_bytes(data.device) if limit_bytes is None else limit_bytes
        with _unchanged(network, data.device):
            self._bytes_per_image = _count_bytes(network, data)
        self.reason: str | None = None
        """Why the energy of a size is not known."""

    def run(self) -> list[Trial]:
        """Try sizes upward until memory, time or patience ends, or downward until the first one fits."""
        start_ns = self._clock()
        trials: list[Trial] = []
        for size in batch_size.list_candidates(len(self._data.train)):
            left_s = LIMIT_S - (self._clock() - start_ns) / 1e9
            if trials and _predict_s(trials[-1], size) > left_s:
                self._control.log(f"batch size {size} and above are not tried: the time for it is over")
                break
            try:
                trials.append(self._try(size, left_s))
            except torch.OutOfMemoryError as error:
                self._control.log(f"batch size {size} does not fit: {_first_sentence(error)}")
                break
            if _has_lost_hope(trials):
                break
        return trials or [self._find_one_that_fits()]

    def _find_one_that_fits(self) -> Trial:
        *others, last = _SMALLER
        for size in others:
            try:
                return self._try(size, LIMIT_S)
            except torch.OutOfMemoryError as error:
                self._control.log(f"batch size {size} does not fit: {_first_sentence(error)}")
        return self._try(last, LIMIT_S)

    def _try(self, size: int, left_s: float) -> Trial:
        """Learn with batches of ``size`` and forget it. Raises torch.OutOfMemoryError."""
        self._check_memory(size)
        with _unchanged(self._network, self._data.device):
            training = Training(self._network, self._data, batch_size.scale(self._hyper_params, size))
            block = self._learn(training, WARM_UP_S, 1, 1, left_s)
            first = _images_of(training)
            start_ns = self._clock()
            self._learn(training, SPAN_S, LEAST_STEPS, block, left_s)
            end_ns = self._clock()
            images = _images_of(training) - first
        energy = self._measure(start_ns, end_ns)
        self.reason = self.reason or energy.reason
        trial = Trial(size, images, (end_ns - start_ns) / 1e9, energy.energy_j)
        self._control.log(f"batch size {batch_size.describe_one(trial)} per image")
        return trial

    def _learn(self, training: Training, least_s: float, steps: int, block: int, left_s: float) -> int:
        """Learn for ``least_s`` and so many steps, or until no time is left; return the steps of a block."""
        start_ns, first_step = self._clock(), training.step
        while True:
            block_ns = self._clock()
            for _ in range(block):
                if self._control.after_step(0) is not None:
                    raise _AskedToStop
                if training.is_epoch_complete:
                    training.end_epoch(None, None)
                training.learn_batch()
            if training.device.type == "cuda":
                torch.cuda.synchronize(training.device)
            now_ns = self._clock()
            elapsed_s = (now_ns - start_ns) / 1e9
            if elapsed_s >= least_s and (training.step - first_step >= steps or elapsed_s >= left_s):
                return block
            if (now_ns - block_ns) / 1e9 < _BLOCK_S / 2:
                block *= 2

    def _check_memory(self, size: int) -> None:
        # Twice: a gradient is as large as the value it belongs to.
        wanted = 2 * size * self._bytes_per_image
        if self._limit_bytes is not None and wanted > self._limit_bytes:
            raise torch.OutOfMemoryError(
                f"A step takes about {wanted / _GIB:.2f} GiB, {self._limit_bytes / _GIB:.2f} GiB are left"
            )


@contextmanager
def _unchanged(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Leave weights, buffers, gradients, mode and torch's generators as they were, however the block ends."""
    before = {name: value.detach().clone() for name, value in network.state_dict().items()}
    is_training = network.training
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            network.zero_grad(set_to_none=True)
            network.load_state_dict(before)
            network.train(is_training)


def _count_bytes(network: nn.Module, data: Data) -> int:
    """Return what a step keeps of each image from the forward pass to the backward pass."""
    kept: dict[int, int] = {}
    weights: set[int] = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}

    def note(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    images = torch.zeros(2, data.channels, data.side, data.side, device=data.device)
    network.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        # Bound to a name: what is kept has to live until it is counted.
        logits: Tensor = network(images.to(memory_format=torch.channels_last))
    sizes = [size for place, size in kept.items() if place not in weights]
    return (sum(sizes) + logits.nbytes) // len(images)


def _free_bytes(device: torch.device) -> int | None:
    return None if device.type == "cuda" else int(_MEMORY_SHARE * psutil.virtual_memory().available)


def _images_of(training: Training) -> int:
    """Return how many images the training has learnt."""
    whole = len(training.data.train)
    part = whole if training.is_epoch_complete else training.batch * training.hyper_params.images_per_step
    return (training.epoch - 1) * whole + part


def _predict_s(last: Trial, size: int) -> float:
    """Return how long a larger size will take if an image takes as long as with the last one."""
    step_s = last.s_per_image * size
    return max(WARM_UP_S, step_s) + max(SPAN_S, LEAST_STEPS * step_s)


def _has_lost_hope(trials: list[Trial]) -> bool:
    """Tell whether the last sizes were all worse than one before them."""
    best = batch_size.choose(trials)
    return len(trials) - 1 - trials.index(best) >= PATIENCE


def _first_sentence(error: torch.OutOfMemoryError) -> str:
    return str(error).split(". ")[0]
