"""What showing a training to somebody costs that training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Any
from unittest import mock

from schema import Request, Scalar
from trainers.data import load_data
from trainers.datasets import DATASETS
from trainers.loop import train
from trainers.networks import build_network
from trainers.params import CnnHyperParams
from trainers.showing import Showing
from work.child import PipeControl
from work.inbox import Inbox
from work.pulse import CELLS, Pulse

EPOCHS = 40


class SilentControl:
    """A Control that asks for nothing."""

    def after_step(self, step: int) -> Request | None:  # noqa: ARG002 - a Control's
        """Go on."""
        return None

    def log(self, text: str) -> None:
        """Say nothing."""
        del text

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Note nothing."""
        del facts


class ClockedShowing(Showing):
    """Adds up what it takes, without the step it follows."""

    spent_s = 0.0

    def after_step(self) -> None:
        """Show, and count the time."""
        self._clocked(super().after_step)

    def end_epoch(self) -> None:
        """Show, and count the time."""
        self._clocked(super().end_epoch)

    @staticmethod
    def _clocked(act: Callable[[], None]) -> None:
        start_s = time.perf_counter()
        act()
        ClockedShowing.spent_s += time.perf_counter() - start_s


def measure_trainer_cost() -> dict[str, Any]:
    """Train while somebody watches all the time; return which part of the time went into showing.

    Timed inside one training, by the thread that trains, with the pipe to the worker: two trainings differ by
    more than 1 % whatever they do.
    """
    ours, theirs = Pipe()
    inbox = Inbox(ours)
    pulse = Pulse([0.0] * CELLS)
    pulse.note_watched(is_watched=True)
    hyper_params = CnnHyperParams.model_validate(
        {"dataset": "digits", "network": "small_cnn", "num_epochs": EPOCHS, "batch_size": 32}
    )
    data = load_data(DATASETS["digits"], Path("data/datasets"), hyper_params, device="cpu", say=print)
    network = build_network("small_cnn", channels=data.channels, side=data.side, classes=data.classes, seed=0)
    with mock.patch("trainers.loop.Showing", ClockedShowing):
        start_s = time.perf_counter()
        audience = PipeControl(theirs, pulse)
        for _ in train(network, data, hyper_params, control=SilentControl(), audience=audience):
            pass
        took_s = time.perf_counter() - start_s
    theirs.close()
    frames, _ = inbox.take(1.0, most=100_000)
    inbox.close()
    return {
        "trainer_cost_percent": round(100 * ClockedShowing.spent_s / took_s, 3),
        "trainer_s": round(took_s, 2),
        "trainer_frames": len(frames),
    }
