"""Trainers for bench.queue and bench.faults: what the other queues are given to do, as runs."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import Field

from bench.peers import jobs
from schema import EpochResult, Epochs, TrainingContext
from trainers import TrainerSpec
from trainers.params import HyperParams


class NoopHyperParams(HyperParams):
    """A run of one epoch that does nothing but write down when."""

    trainer: Literal["noop"] = "noop"
    num_epochs: int = Field(1, ge=1, le=1)


class NapHyperParams(HyperParams):
    """A run of one epoch that sleeps."""

    trainer: Literal["nap"] = "nap"
    num_epochs: int = Field(1, ge=1, le=1)
    seconds: float = Field(ge=0, le=3600)


def train_noop(hyper_params: NoopHyperParams, context: TrainingContext) -> Epochs:  # noqa: ARG001 - a trainer's form
    """Stamp, as ``jobs.stamp`` says."""
    jobs.stamp()
    yield _epoch(0.0)
    return None


def train_nap(hyper_params: NapHyperParams, context: TrainingContext) -> Epochs:
    """Sleep, as ``jobs.nap`` says, in steps of 50 ms."""
    step = 0

    def rest(seconds: float) -> bool:
        nonlocal step
        step += 1
        time.sleep(seconds)
        return context.control.after_step(step) is None

    if jobs.nap(hyper_params.seconds, rest):
        yield _epoch(hyper_params.seconds)
    return None


def _epoch(duration_s: float) -> EpochResult:
    return EpochResult(
        epoch=1, train_loss=0, train_accuracy=1, test_loss=0, test_accuracy=1, duration_s=duration_s
    )


NOOP = TrainerSpec(
    name="noop",
    title="No-op",
    summary="For bench.queue: does nothing.",
    hyper_params=NoopHyperParams,
    entry="bench.queue_trainers:train_noop",
)
NAP = TrainerSpec(
    name="nap",
    title="Nap",
    summary="For bench.faults: sleeps.",
    hyper_params=NapHyperParams,
    entry="bench.queue_trainers:train_nap",
)
