"""Checkpoints with the epochs handed out before them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import torch

from schema import Checkpoint, EpochResult
from tests.saved import METRICS
from trainers.checkpoints import open_checkpoints
from work.handed_out import HandedOut


def test_what_a_trainer_resumed_from_leaves_the_memory_when_it_saves(tmp_path: Path) -> None:
    checkpoints = open_checkpoints(str(tmp_path), "run1")
    first = HandedOut(checkpoints)
    first.results.append(EpochResult(epoch=1, duration_s=1.0, **METRICS.model_dump()))
    first.save(Checkpoint(5, {"weights": torch.full((3,), 5.0)}))

    second = HandedOut(checkpoints)
    resumed = second.find_newest()
    assert resumed is not None
    weights = weakref.ref(resumed.state["weights"])
    del resumed
    again = second.find_newest()
    assert again is not None
    assert again.state["weights"] is weights(), "until then it is read once"
    del again
    second.save(Checkpoint(10, {"weights": torch.full((3,), 10.0)}))
    gc.collect()
    assert weights() is None
    newest = second.find_newest()
    assert newest is not None
    assert newest.state["weights"].tolist() == [10, 10, 10]
    assert [result.epoch for result in HandedOut(checkpoints).results] == [1]
