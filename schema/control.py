"""What a trainer sees of the worker that runs it, and the other way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pydantic import JsonValue

from schema.records import EpochResult, Scalar


class Request(StrEnum):
    """What a trainer is asked to do at the next step boundary."""

    PREEMPT = "preempt"


class Control(Protocol):
    """How a trainer learns that it should stop, and how it speaks to the run's page."""

    def after_step(self, step: int) -> Request | None:
        """Say what is wanted now; called after every optimiser step, costs microseconds.

        A trainer that gets a Request ends its generator without yielding the unfinished epoch.
        """

    def log(self, text: str) -> None:
        """Add a line to the run's log."""

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Record facts about how this run is run: device, precision, threads, parameter count."""


@dataclass(frozen=True)
class TrainingContext:
    """Where and on what a trainer works; ``device`` is ``cpu`` or ``cuda:N``."""

    datasets_dir: Path
    device: str
    control: Control


# hyper_params as somebody wrote them → complete ones; raises InvalidInput.
Validate = Callable[[dict[str, JsonValue]], dict[str, JsonValue]]

# hyper_params is the trainer's own pydantic model, which floor 0 does not know.
TrainFunction = Callable[[Any, TrainingContext], Iterator[EpochResult]]
