"""The stacks of a hung child: whatever fails about them costs the stacks alone."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from work.stacks import Stacks


def test_without_a_temporary_folder_there_are_no_stacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    stacks = Stacks()
    assert stacks.path is None
    assert stacks.ask(os.getpid()) is None
    stacks.close()


def test_a_child_that_has_just_ended_says_nothing() -> None:
    pid = os.posix_spawnp("true", ["true"], os.environ)
    os.waitpid(pid, 0)
    stacks = Stacks()
    assert stacks.ask(pid) is None
    stacks.close()
    stacks.close()


def test_a_file_that_somebody_has_cleaned_up_costs_no_more_than_the_stacks() -> None:
    stacks = Stacks()
    assert stacks.path is not None
    stacks.path.unlink()
    was = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        assert stacks.ask(os.getpid()) is None
    finally:
        signal.signal(signal.SIGUSR1, was)
