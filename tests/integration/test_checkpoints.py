"""Checkpoints are whole or not there, the last two are kept, and a torn one is passed over."""

from __future__ import annotations

import json
import logging
import resource
import signal
from pathlib import Path

import pytest
import torch

from schema import Checkpoint
from trainers.checkpoints import STATE_FILE, TENSORS_FILE, Checkpoints, open_checkpoints


def state_of(step: int) -> dict[str, object]:
    return {"step": step, "weights": torch.full((3,), float(step))}


@pytest.fixture(params=["local", "remote"])
def checkpoints(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoints:
    url = str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"
    return open_checkpoints(url, "run1")


def test_the_newest_checkpoint_comes_back(checkpoints: Checkpoints) -> None:
    assert checkpoints.find_newest() is None
    for step in (5, 10, 7):
        checkpoints.save(Checkpoint(step, state_of(step)))
    newest = checkpoints.find_newest()
    assert newest is not None
    assert newest.step == 10
    assert newest.state["weights"].tolist() == [10, 10, 10]


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoints = open_checkpoints(str(tmp_path), "run1")
    for step in (5, 10, 15, 20):
        checkpoints.save(Checkpoint(step, state_of(step)))
    assert sorted(path.name for path in (tmp_path / "run1").iterdir()) == [
        "step-000000000015",
        "step-000000000020",
    ]


def test_runs_do_not_see_each_other(tmp_path: Path) -> None:
    open_checkpoints(str(tmp_path), "run1").save(Checkpoint(5, state_of(5)))
    assert open_checkpoints(str(tmp_path), "run2").find_newest() is None


@pytest.mark.parametrize(
    "harm", ["no json", "no tensors", "half json", "half tensors", "other tensors", "other format"]
)
def test_a_torn_or_foreign_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = open_checkpoints(str(tmp_path), "run1")
    for step in (5, 10):
        checkpoints.save(Checkpoint(step, state_of(step)))
    newest = tmp_path / "run1" / "step-000000000010"
    what, _, part = harm.partition(" ")
    file = newest / (STATE_FILE if part in ("json", "format") else TENSORS_FILE)
    if what == "no":
        file.unlink()
    elif what == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif part == "tensors":
        file.write_bytes((tmp_path / "run1" / "step-000000000005" / TENSORS_FILE).read_bytes())
    else:
        file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))

    with caplog.at_level(logging.WARNING):
        found = checkpoints.find_newest()

    assert found is not None
    assert found.step == 5
    assert "checkpoint passed over step=10" in caplog.text


def test_a_disk_that_fails_leaves_the_previous_checkpoint_whole(tmp_path: Path) -> None:
    checkpoints = open_checkpoints(str(tmp_path), "run1")
    checkpoints.save(Checkpoint(5, state_of(5)))
    # A file-size limit is the one way to a failing write that needs no rights and no other disk.
    previous_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoints.save(Checkpoint(10, state_of(10)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous_handler)

    newest = checkpoints.find_newest()
    assert newest is not None
    assert newest.step == 5
    assert [path.name for path in (tmp_path / "run1").iterdir()] == ["step-000000000005"]
