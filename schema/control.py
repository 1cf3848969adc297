"""What a trainer sees of the worker that runs it, and the other way round."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pydantic import JsonValue

from schema.live import LivePoint, LiveTile
from schema.records import EnergyQuality, EpochResult, Scalar


class Request(StrEnum):
    """What a trainer is asked to do at the next step boundary."""

    PREEMPT = "preempt"
    """Stop; the run goes back to the queue."""
    PAUSE = "pause"
    """Stop; the run waits for nobody until it is resumed."""
    CANCEL = "cancel"
    """Stop; the run is over."""
    FINISH = "finish"
    """Stop; the run is done."""


# A step that is none and no sign of life: for who waits for others, which may hang.
LOOK = -1


class Control(Protocol):
    """How a trainer learns that it should stop, and how it speaks to the run's page."""

    def after_step(self, step: int) -> Request | None:
        """Say what is wanted now; called after every optimiser step, costs microseconds.

        Step 0 is none, but a sign of life, as from a trainer without steps or between two; LOOK is neither.

        A trainer that gets a Request ends its generator without yielding the unfinished epoch.
        """

    def log(self, text: str) -> None:
        """Add a line to the run's log."""

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Record facts about how this run is run: device, precision, threads, parameter count."""


class Checkpoint(NamedTuple):
    """A training's state after ``step`` optimiser steps: tensors, numbers, text, and containers of them."""

    step: int
    state: Any


class CheckpointStore(Protocol):
    """Where the checkpoints of one run are kept."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint. Raises OSError, and the ones before stay whole."""

    def find_newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint; None when the run starts anew."""


class SpanEnergy(NamedTuple):
    """What the worker's meter read in a span; ``energy_j`` is None when unknown, ``reason`` says why."""

    energy_j: float | None
    quality: EnergyQuality | None = None
    reason: str | None = None


# Two moments of time.monotonic_ns() → what was used in between; takes milliseconds, never raises.
Measure = Callable[[int, int], SpanEnergy]


def measure_nothing(start_ns: int, end_ns: int) -> SpanEnergy:  # noqa: ARG001 - there is no meter to ask
    """Say that nobody measures: for a training without a worker."""
    return SpanEnergy(None, reason="No worker measures this training.")


# What for, and two moments of time.monotonic_ns(): what was used in between belongs to the run, to no epoch.
Charge = Callable[[str, int, int], None]


def charge_nothing(name: str, start_ns: int, end_ns: int) -> None:
    """Add nothing to a run's energy: for a training without a worker."""


class Audience(Protocol):
    """Those who watch a training on its live view."""

    def is_watched(self) -> bool:
        """Tell whether there is anybody; costs less than a microsecond."""

    def show(self, points: Sequence[LivePoint], tiles: Sequence[LiveTile], *, batch_size: int) -> None:
        """Show losses with rising steps, at most 1,024, and at most 16 images of the last one."""


class _Nobody:
    def is_watched(self) -> bool:
        return False

    def show(self, points: Sequence[LivePoint], tiles: Sequence[LiveTile], *, batch_size: int) -> None:
        """Show nothing: nobody is there."""


# For a training without a worker.
NOBODY: Audience = _Nobody()


class ModelStore(Protocol):
    """Where the models of one run are kept: sets of files."""

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write a set, replacing an earlier one. Raises OSError."""

    def clear(self) -> None:
        """Delete every set. Raises OSError."""


@dataclass(frozen=True)
class TrainingContext:
    """Where and on what a trainer works; ``device`` is ``cpu`` or ``cuda:N``."""

    datasets_dir: Path
    device: str
    control: Control
    run_id: str = "local"
    scripts_dir: Path | None = None
    api_url: str = ""
    checkpoints: CheckpointStore | None = None
    checkpoint_every_s: float = 60.0
    measure: Measure = measure_nothing
    """What the energy of a span that has just ended was; for choices before a training, not for epochs."""
    charge: Charge = charge_nothing
    audience: Audience = NOBODY
    models: ModelStore | None = None
    model_licence: str | None = None


# Returns the reason why the training ended before its last epoch, or None.
Epochs = Generator[EpochResult, None, str | None]

# hyper_params as somebody wrote them → complete ones; raises InvalidInput.
Validate = Callable[[dict[str, JsonValue]], dict[str, JsonValue]]

# hyper_params is the trainer's own pydantic model, which floor 0 does not know.
TrainFunction = Callable[[Any, TrainingContext], Epochs]
