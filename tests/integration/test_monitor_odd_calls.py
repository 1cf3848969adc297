"""Calls that make no sense: they cost what they were about, and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.monitor_server import MonitorServer
from training_monitor import TrainingMonitor
from training_monitor.media_calls import _copy

Start = Callable[..., TrainingMonitor]


@pytest.mark.parametrize("wanted", [[1], [None], None, 7])
def test_what_is_no_name_of_a_run_is_missing(start: Start, wanted: object) -> None:
    found = start().compare_experiments(wanted)  # type: ignore[arg-type]
    assert len(found.missing) == 1
    assert found.names == {}


def test_one_name_is_not_taken_for_many(start: Start) -> None:
    assert list(start().compare_experiments("absent").missing) == ["absent"]


def test_what_never_ends_is_no_file(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "pipe")
    monitor = start()
    call = threading.Thread(target=monitor.log_artifact, args=(tmp_path / "pipe",), daemon=True)
    call.start()
    call.join(10)
    assert not call.is_alive()
    monitor.log_artifact("/dev/zero")
    assert caplog.text.count("it is no file") == 2


def test_of_a_file_that_grows_there_is_what_there_was_room_for(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 100)
    with (tmp_path / "log").open("rb") as source, (tmp_path / "copy").open("wb") as copy:
        _copy(source, copy, 60)
    assert (tmp_path / "copy").stat().st_size == 60


def test_a_bad_name_in_a_folder_costs_the_other_files_nothing(
    start: Start, server: MonitorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.bin", "b ä.bin", "c.bin"):
        (folder / name).write_bytes(b"x")
    monitor = start()
    monitor.log_artifact(folder)
    assert monitor.finish()
    assert [file.name for file in server.only_run.files] == ["files/a.bin", "files/c.bin"]
    assert caplog.text.count("is not kept") == 1


def test_a_step_that_is_none_is_not_kept(start: Start, server: MonitorServer) -> None:
    monitor = start(energy=True)
    for step in ("x", -5, 1.5):
        monitor.log_metrics({"loss": 1.0}, step)  # type: ignore[arg-type]
        monitor.end_epoch(step)  # type: ignore[arg-type]
    monitor.end_epoch()
    monitor.log_metrics({"loss": 2.0})
    assert monitor.finish()
    assert [point[:2] for point in server.only_run.points["loss"]] == [(0, 2.0)]
    assert [point[0] for point in server.only_run.points["duration_s"]] == [0]
