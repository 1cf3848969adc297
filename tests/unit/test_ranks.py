"""Which of several reasons is the one: a rank that ends takes those with it that wait for it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import cast

import pytest
import torch

from errors import DatasetUnavailable, TrainingFailed
from schema import TrainingContext
from tests.integration.test_trainers import CollectingControl
from trainers.params import CnnHyperParams
from trainers.rank_messages import Failed, Stepped
from trainers.rank_process import RankProcesses
from trainers.ranks import _check_gpus, _explain, _rebuild, _Relay
from work.pulse import CELLS, Pulse


def failed(rank: int, error: str = "RuntimeError", message: str = "Connection closed by peer") -> Failed:
    return Failed(rank=rank, error=error, message=message, traceback=f"Traceback of rank {rank}\n")


def test_a_rank_that_was_killed_is_the_reason_and_not_those_that_missed_it() -> None:
    error = _explain([failed(0)], {0: 1, 1: -signal.SIGKILL})
    assert str(error).startswith("Rank 1 was ended by SIGKILL. The system may have run out of memory")
    assert "closed by peer" not in str(error)


def test_an_exit_code_is_told() -> None:
    assert "Rank 2 ended without a word (exit code 3)" in str(_explain([], {2: 3}))


def test_the_first_rank_to_fail_is_the_reason_with_its_traceback() -> None:
    error = _explain([failed(1, "ValueError", "no such thing"), failed(0)], {0: 1, 1: 1})
    assert str(error) == "Rank 1 failed: ValueError: no such thing\nTraceback of rank 1"


def test_a_rank_that_torchrun_ended_explains_nothing_where_another_one_has_told() -> None:
    error = _explain([failed(0, "KeyError", "'threads'")], {0: 1, 1: -signal.SIGTERM})
    assert str(error).startswith("Rank 0 failed: KeyError: 'threads'")


def test_what_wattle_explains_arrives_as_itself() -> None:
    error = _rebuild(failed(1, "DatasetUnavailable", "Put the files there."))
    assert isinstance(error, DatasetUnavailable)
    assert str(error) == "Put the files there."
    assert _rebuild(failed(1)) is None
    assert _rebuild(failed(1, "Sequence")) is None


def test_too_few_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    hyper_params = CnnHyperParams.model_validate({"gpus": 3})
    _check_gpus(hyper_params, "cuda:0")
    _check_gpus(hyper_params, "cpu")
    with pytest.raises(TrainingFailed, match="gpus is 3, and there are 2 GPUs from cuda:1 on"):
        _check_gpus(hyper_params, "cuda:1")


class BeatingControl(CollectingControl):
    """Notes the steps of a training as a child does."""

    def __init__(self) -> None:
        super().__init__()
        self.pulse = Pulse([0.0] * CELLS)

    def after_step(self, step: int) -> None:
        self.pulse.note_step(step)


def test_only_what_a_rank_says_is_a_sign_of_life(tmp_path: Path) -> None:
    control = BeatingControl()
    relay = _Relay(
        cast("RankProcesses", None), TrainingContext(datasets_dir=tmp_path, device="cpu", control=control)
    )

    def beats_after(*, has_heard: bool, step: int | None = None) -> float:
        before = control.pulse.beats
        if step is not None:
            relay.take(Stepped(step=step), b"")
        assert not relay.should_leave(has_heard=has_heard)
        return control.pulse.beats - before

    assert beats_after(has_heard=False) == 0  # they meet, or hang in that
    assert beats_after(has_heard=True) == 1
    assert beats_after(has_heard=True, step=3) == 1
    assert beats_after(has_heard=False) == 0
    assert beats_after(has_heard=True, step=0) == 1  # they evaluate
    assert control.pulse.step == 3


def test_the_rank_that_died_is_named_and_not_those_that_torchrun_ended_for_it() -> None:
    died = _explain([], {0: -signal.SIGTERM, 1: -signal.SIGKILL})
    assert str(died).startswith("Rank 1 was ended by SIGKILL.")
    assert str(_explain([], {0: -signal.SIGTERM})).startswith("Rank 0 was ended by SIGTERM.")
