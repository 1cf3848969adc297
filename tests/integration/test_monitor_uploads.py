"""Files of the SDK where things go wrong: none is lost unsaid, none is there twice, no loop waits."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.monitor_server import MonitorServer, Refusal
from tests.programs import wait_until
from training_monitor import TrainingMonitor
from training_monitor.connection import Connection
from training_monitor.replay import replay

Start = Callable[..., TrainingMonitor]


def test_a_server_that_is_away_holds_no_call_up_and_gets_each_once(
    start: Start, server: MonitorServer
) -> None:
    server.stop()
    monitor = start()
    began_s = time.perf_counter()
    for step in range(100):
        monitor.log_image("picture", np.full((8, 8), step, dtype=np.uint8), step)
        monitor.log_histogram("weights", np.arange(step + 1), step)
    assert time.perf_counter() - began_s < 60
    server.start()
    server.lose_answers = 3
    assert monitor.finish()
    assert [int(file.query["step"]) for file in server.only_run.files] == list(range(100))
    assert [each["step"] for each in server.only_run.histograms] == list(range(100))
    assert server.lose_answers == 0


def test_points_and_the_page_do_not_wait_for_a_file(start: Start, server: MonitorServer) -> None:
    release = threading.Event()
    monitor = start(strict=True)
    uploading = threading.Event()

    def hold(path: str, _body: Any) -> None:
        if "artifacts" in path:
            # Outside of the lock of the server, which answers one request at a time.
            server.lock.release()
            uploading.set()
            release.wait(20)
            server.lock.acquire()

    server.refuse = hold
    monitor.save_checkpoint({"w": torch.ones(10)}, 0)
    assert uploading.wait(60)
    monitor.log_metrics({"loss": 1.0}, 0)
    wait_until(lambda: "loss" in server.only_run.points)
    assert server.only_run.files == []
    release.set()
    assert monitor.finish()
    assert len(server.only_run.files) == 1


def test_a_refused_file_is_said_and_costs_the_others_nothing(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse = lambda path, _body: (
        Refusal(413, "Too large: WATTLE_MAX_ARTIFACT_MIB.") if "best" in path else None
    )
    monitor = start()
    monitor.save_checkpoint({"w": torch.ones(1)}, 0, name="best")
    monitor.register_model("digits", "best")
    monitor.save_checkpoint({"w": torch.ones(1)}, 0, name="last")
    monitor.register_model("digits", "last")
    assert monitor.finish()
    assert [file.name for file in server.only_run.files] == ["last"]
    assert [body["artifact"] for body in server.models] == ["last"]
    assert "WATTLE_MAX_ARTIFACT_MIB" in caplog.text
    assert "digits is not registered" in caplog.text


def test_a_refused_name_of_histograms_costs_the_others_nothing(start: Start, server: MonitorServer) -> None:
    def refuse(path: str, body: Any) -> Refusal | None:
        is_bad = "histograms" in path and any(each["name"] == "bad" for each in body["histograms"])
        return Refusal(422, "Too many names.") if is_bad else None

    server.refuse = refuse
    monitor = start()
    for name in ("good", "bad", "better"):
        monitor.log_histogram(name, [1.0, 2.0])
    assert monitor.finish()
    assert [each["name"] for each in server.only_run.histograms] == ["good", "better"]


def test_more_files_than_there_is_room_for_are_refused_and_said(
    start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATTLE_SPOOL_FILES_MIB", "3")
    server.stop()
    monitor = start()
    for epoch in range(4):
        monitor.save_checkpoint({"w": torch.full((300_000,), epoch)}, epoch)  # 2.3 MiB each
    assert "WATTLE_SPOOL_FILES_MIB=3" in caplog.text
    server.start()
    assert monitor.finish()
    assert [file.query["step"] for file in server.only_run.files] == ["0"]


def test_after_the_end_nothing_is_taken(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = start()
    assert monitor.finish()
    monitor.log_image("late", np.zeros((2, 2)))
    assert "the run is finished" in caplog.text
    assert server.only_run.files == []


def test_a_run_that_was_deleted_takes_no_files_and_leaves_none(
    start: Start, server: MonitorServer, spool: Path
) -> None:
    monitor = start(strict=True)
    server.runs.clear()
    monitor.log_image("picture", np.zeros((2, 2)))
    monitor.log_metrics({"loss": 1.0}, 0)
    assert monitor.finish()
    assert list(spool.iterdir()) == []


def test_a_large_file_leaves_a_finish_in_time_and_goes_with_the_next_monitor(
    start: Start, server: MonitorServer, spool: Path
) -> None:
    server.refuse = lambda path, _body: Refusal(503, "Not now.") if "artifacts" in path else None
    monitor = start("first")
    monitor.save_checkpoint({"w": torch.ones(1_000)}, 0)
    monitor.register_model("digits")
    began_s = time.perf_counter()
    assert not monitor.finish(timeout_s=1.0)
    assert time.perf_counter() - began_s < 20
    assert server.only_run.acts[-1] == ("status", {"status": "done"})
    server.refuse = lambda _path, _body: None
    second = start("second")
    wait_until(lambda: server.models)
    assert second.finish()
    first = next(run for run in server.runs.values() if run.body["name"] == "first")
    assert [file.name for file in first.files] == ["checkpoint.safetensors"]
    wait_until(lambda: not list(spool.iterdir()))


def test_files_of_a_run_that_is_refused_are_kept_and_sent_when_it_is_not(
    start: Start, server: MonitorServer, spool: Path
) -> None:
    server.refuse = lambda path, _body: Refusal(422, "No.") if path == "/api/experiments" else None
    monitor = start()
    monitor.save_checkpoint({"w": torch.ones(1)}, 0)
    monitor.log_histogram("weights", [1.0])
    assert not monitor.finish(timeout_s=5.0)
    assert [path.name.partition("-")[0] for path in spool.iterdir()] == ["refused"]
    server.refuse = lambda _path, _body: None
    with closing(Connection(server.url)) as connection:
        assert replay(spool, connection, is_refused=True).sent == 1
    assert len(server.only_run.files) == len(server.only_run.histograms) == 1
    assert list(spool.iterdir()) == []


def test_a_signal_handler_may_save_while_the_loop_does(start: Start, server: MonitorServer) -> None:
    monitor = start()
    numbers, saved = itertools.count(), []

    def save(*_: object) -> None:
        saved.append(step := next(numbers))  # it may come into itself
        monitor.save_checkpoint({"w": torch.ones(100)}, step, name="handler")
        monitor.log_histogram("handler", [1.0], step)

    def ring() -> None:
        for _ in range(50):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.003)

    before = signal.signal(signal.SIGUSR1, save)
    ringer = threading.Thread(target=ring)
    try:
        ringer.start()
        logged = 0
        while ringer.is_alive():
            monitor.save_checkpoint({"w": torch.ones(100)}, logged, name="loop")
            monitor.log_histogram("loop", np.arange(100), logged)
            logged += 1
    finally:
        ringer.join()
        signal.signal(signal.SIGUSR1, before)
    assert monitor.finish()
    names = [file.name for file in server.only_run.files]
    assert (names.count("loop"), names.count("handler")) == (logged, len(saved))
    histograms = [each["name"] for each in server.only_run.histograms]
    assert (histograms.count("loop"), histograms.count("handler")) == (logged, len(saved))


def test_a_killed_or_forked_process_keeps_nothing_twice(start: Start, server: MonitorServer) -> None:
    monitor = start(strict=True)
    monitor.log_image("parent", np.zeros((2, 2)))
    if (child := os.fork()) == 0:
        monitor.log_image("child", np.zeros((2, 2)))
        os._exit(0)
    os.waitpid(child, 0)
    assert monitor.finish()
    assert [file.name for file in server.only_run.files] == ["parent"]


def test_a_file_that_a_crash_of_the_machine_cut_off_is_said_and_not_sent(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    monitor = start()
    assert monitor._spool is not None
    for step in range(3):
        monitor.save_checkpoint({"w": torch.ones(10)}, step)
    first, second, _ = sorted((monitor._spool.folder / "uploads").glob("*.data"))
    os.truncate(first, 20)
    second.with_suffix(".json").write_bytes(b"\0\0")
    server.start()
    assert monitor.finish()
    assert [file.query["step"] for file in server.only_run.files] == ["2"]
    assert caplog.text.count("is lost") == 2
