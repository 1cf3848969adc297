"""What a training's readings suggest, in sentences. Advice only: nothing here changes a run or a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# Loading takes a tenth of a step or less in a training that keeps its device busy.
DATA_PART = 0.3
# Of the last second in which the GPU computed; and what counts as the network's own work in a step.
IDLE_UTILISATION, WORK_PART = 0.6, 0.6
# Above it a larger batch would hardly fit.
FULL_MEMORY = 0.5
# Of an epoch; in shorter ones than a second a clock tells little.
OUTSIDE_PART, LEAST_EPOCH_S = 0.3, 1.0
LIMIT_PART = 0.95
# Below the temperature at which current GPUs slow down, 83-95 °C by model. Source: their data sheets.
HOT_C = 83.0
# An epoch of fewer steps learns little from each image.
LEAST_STEPS = 8


class Gpu(Protocol):
    """How a GPU stands; None is what its driver does not say."""

    @property
    def memory_used_bytes(self) -> int | None:
        """Memory that is taken."""

    @property
    def memory_total_bytes(self) -> int | None:
        """All of its memory."""

    @property
    def utilisation(self) -> float | None:
        """Share of the last second in which it computed, 0-1."""

    @property
    def power_w(self) -> float | None:
        """What it draws."""

    @property
    def power_limit_w(self) -> float | None:
        """What it may draw."""

    @property
    def sm_clock_mhz(self) -> float | None:
        """How fast its cores run."""

    @property
    def temperature_c(self) -> float | None:
        """How warm it is."""


@dataclass(frozen=True)
class StepTimes:
    """Mean milliseconds of the phases of a step."""

    data_ms: float
    forward_ms: float
    backward_ms: float
    optimizer_ms: float

    @property
    def whole_ms(self) -> float:
        """The whole step."""
        return self.data_ms + self.forward_ms + self.backward_ms + self.optimizer_ms

    @property
    def data_part(self) -> float:
        """The share of loading, shuffling and augmenting."""
        return self.data_ms / self.whole_ms

    @property
    def work_part(self) -> float:
        """The share of the network's passes."""
        return (self.forward_ms + self.backward_ms) / self.whole_ms


@dataclass(frozen=True)
class Readings:
    """What is known of a training; None is unknown. ``gpu`` is that of a run under way."""

    step: StepTimes | None = None
    gpu: Gpu | None = None
    batch_size: int | None = None
    train_images: int | None = None
    data_on: str | None = None
    """Where the images are: device, host or files."""
    epoch_s: float | None = None
    """The median of the epochs after the first, evaluation included."""
    epochs_s: float | None = None
    """All epochs of the attempt together."""
    attempt_s: float | None = None
    """From the attempt's start to its end."""


def advise(readings: Readings) -> list[str]:
    """Return a sentence or two for each rule that the readings support; usually none."""
    return [sentence for rule in _RULES if (sentence := rule(readings)) is not None]


def find_slow_data(readings: Readings) -> str | None:
    """Say so when a step spends 30 % or more of its time on data."""
    step = readings.step
    if step is None or step.data_part < DATA_PART:
        return None
    remedies = {
        "files": "The images are decoded from files in every epoch: give the run more CPU cores, a smaller "
        "image_side, or enough memory to hold them.",
        "host": "The images do not fit on the device and are copied in every step: free device memory, or "
        "train on smaller images.",
    }
    remedy = remedies.get(readings.data_on or "", "Try a simpler augmentation, or larger batches.")
    return (
        f"Data takes {step.data_part:.0%} of a step ({step.data_ms:.3g} of {step.whole_ms:.3g} ms), "
        f"while the network waits. {remedy}"
    )


def find_small_batch(readings: Readings) -> str | None:
    """Say so when the GPU idles in 40 % of the time though the network's passes are most of a step."""
    step, gpu, size = readings.step, readings.gpu, readings.batch_size
    if step is None or gpu is None or size is None or readings.train_images is None:
        return None
    is_filled = gpu.utilisation is None or gpu.utilisation >= IDLE_UTILISATION
    has_room = 2 * size * LEAST_STEPS <= readings.train_images and not _is_full(gpu)
    if is_filled or not has_room or step.work_part < WORK_PART or step.data_part >= DATA_PART:
        return None
    return (
        f"The GPU computes {gpu.utilisation:.0%} of the time, although forward and backward are "
        f"{step.work_part:.0%} of a step: batches of {size} do not fill it. Try batch_size {2 * size}, "
        'or "auto".'
    )


def find_long_evaluation(readings: Readings) -> str | None:
    """Say so when 30 % or more of an epoch is not spent in steps."""
    step, epoch_s, size, images = (
        readings.step,
        readings.epoch_s,
        readings.batch_size,
        readings.train_images,
    )
    if step is None or epoch_s is None or not size or not images or epoch_s < LEAST_EPOCH_S:
        return None
    other_s = epoch_s - images / size * step.whole_ms / 1000
    if other_s < OUTSIDE_PART * epoch_s:
        return None
    return (
        f"{other_s:.3g} s of an epoch's {epoch_s:.3g} s ({other_s / epoch_s:.0%}) are not steps but mostly "
        "evaluation, in which nothing is learnt. Try a smaller validation_fraction."
    )


def find_idle_between_epochs(readings: Readings) -> str | None:
    """Say so when 30 % or more of an attempt lies outside its epochs."""
    epochs_s, attempt_s = readings.epochs_s, readings.attempt_s
    if not epochs_s or attempt_s is None or attempt_s < LEAST_EPOCH_S:
        return None
    outside_s = attempt_s - epochs_s
    if outside_s < OUTSIDE_PART * attempt_s:
        return None
    return (
        f"{outside_s:.3g} s of the attempt's {attempt_s:.3g} s ({outside_s / attempt_s:.0%}) lie outside its "
        "epochs: reading data, compiling, trying batch sizes, saving checkpoints. Such a run is better made "
        "longer, or without what takes that time."
    )


def find_power_limit(readings: Readings) -> str | None:
    """Say so when the GPU draws 95 % or more of what it may."""
    gpu = readings.gpu
    if gpu is None or gpu.power_w is None or not gpu.power_limit_w:
        return None
    if gpu.power_w < LIMIT_PART * gpu.power_limit_w:
        return None
    clock = "" if gpu.sm_clock_mhz is None else f", now {gpu.sm_clock_mhz:,.0f} MHz"
    return (
        f"The GPU draws {gpu.power_w:.0f} of the {gpu.power_limit_w:.0f} W it may: the limit holds its clock"
        f"{clock}. It is filled. Less precision (bf16) does more within the same limit; a lower limit, which "
        "only this host's administrator can set, often saves more energy than it costs time."
    )


def find_heat(readings: Readings) -> str | None:
    """Say so when the GPU is as hot as where GPUs begin to slow down."""
    gpu = readings.gpu
    if gpu is None or gpu.temperature_c is None or gpu.temperature_c < HOT_C:
        return None
    clock = "" if gpu.sm_clock_mhz is None else f" and its cores run at {gpu.sm_clock_mhz:,.0f} MHz"
    return (
        f"The GPU is at {gpu.temperature_c:.0f} °C{clock}: from about {HOT_C:.0f} °C on GPUs lower their "
        "clock. Look after its cooling; the same work then takes less time."
    )


def _is_full(gpu: Gpu) -> bool:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    return used is not None and total is not None and used > FULL_MEMORY * total


_RULES: tuple[Callable[[Readings], str | None], ...] = (
    find_slow_data,
    find_small_batch,
    find_long_evaluation,
    find_idle_between_epochs,
    find_power_limit,
    find_heat,
)
