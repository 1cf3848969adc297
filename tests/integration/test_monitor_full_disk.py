"""A run that ends while its disk is full: nothing is lost, and nobody is told that all was sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.monitor_server import MonitorServer, wait_until_ended
from training_monitor import TrainingMonitor
from training_monitor.connection import Connection
from training_monitor.replay import replay

Start = Callable[..., TrainingMonitor]


def test_a_run_that_ends_on_a_full_disk_says_so_and_is_sent_later(
    start: Start, server: MonitorServer, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = start(strict=True)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: 0)
        monitor.log_metrics({"loss": 1.0}, 0)
        assert not monitor.finish(timeout_s=0.5)
        wait_until_ended(monitor)
    assert server.only_run.acts == []
    connection = Connection(server.url)
    assert replay(spool, connection).sent == 1
    connection.close()
    assert [point[:2] for point in server.only_run.points["loss"]] == [(0, 1.0)]
    assert server.only_run.acts == [("status", {"status": "done"})]


def test_a_run_that_ends_is_kept_as_soon_as_there_is_room(
    start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = start(strict=True)
    pwrite, refused = os.pwrite, [0, 0, 0]
    monkeypatch.setattr(os, "pwrite", lambda *given: refused.pop() if refused else pwrite(*given))
    monitor.log_metrics({"loss": 1.0}, 0)
    assert monitor.finish()
    assert refused == []
    assert [point[:2] for point in server.only_run.points["loss"]] == [(0, 1.0)]
    assert server.only_run.acts == [("status", {"status": "done"})]
