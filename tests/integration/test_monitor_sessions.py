"""The SDK and the real API: sessions of one run that follow each other, and answers that are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.monitor_api import MonitorApi, monitor_api
from tests.monitor_server import wait_until_ended
from tests.programs import ROOT, wait_until
from training_monitor import TrainingMonitor
from training_monitor.connection import Connection
from training_monitor.replay import replay

# Ends as killed, when the server has carried out what it did not answer.
NOTED = """
import os, signal, sys
from training_monitor import TrainingMonitor
monitor = TrainingMonitor("noted", strict=True, system_metrics=False)
monitor.add_note("once")
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def api(db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MonitorApi]:
    with monitor_api(db, Settings(data_dir=tmp_path)) as started:
        monkeypatch.setenv("WATTLE_API_URL", started.url)
        monkeypatch.setenv("WATTLE_SPOOL_DIR", str(tmp_path / "spool"))
        yield started


def send_what_is_left(spool: Path, api: MonitorApi) -> int:
    connection = Connection(api.url)
    try:
        return replay(spool, connection).sent
    finally:
        connection.close()


def test_how_an_earlier_session_ended_does_not_end_the_one_that_resumed_its_run(
    db: RedisDB, api: MonitorApi, tmp_path: Path
) -> None:
    first = TrainingMonitor("resumed", strict=True, system_metrics=False)
    assert first.run_id is not None
    api.stop()
    first.log_metrics({"loss": 1.0}, 0)
    assert not first.finish("failed", timeout_s=0.0)
    wait_until_ended(first)
    api.start()
    second = TrainingMonitor(
        "resumed", strict=True, resume=first.run_id, system_metrics=False, spool_dir=tmp_path / "other"
    )
    assert send_what_is_left(tmp_path / "spool", api) == 1
    assert db.metrics.get(first.run_id, "loss")["step"].tolist() == [0]
    assert db.runs.get(first.run_id).status is Status.RUNNING
    second.log_metrics({"loss": 0.5}, 1)
    assert second.finish()
    assert db.runs.get(first.run_id).status is Status.DONE
    assert db.metrics.get(first.run_id, "loss")["step"].tolist() == [0, 1]


@pytest.mark.parametrize("lost", [1, 3])
def test_a_note_whose_answer_is_lost_is_there_once(db: RedisDB, api: MonitorApi, lost: int) -> None:
    monitor = TrainingMonitor("noted", strict=True, system_metrics=False)
    assert monitor.run_id is not None
    api.lost["/notes"] = lost
    for text in ("one", "one", "two"):
        monitor.add_note(text)
    assert monitor.finish()
    assert api.lost["/notes"] == 0
    assert [note.text for note in db.external.list_notes(monitor.run_id)] == ["one", "one", "two"]


def test_a_note_is_there_once_when_its_answer_is_lost_and_its_process_is_killed(
    db: RedisDB, api: MonitorApi, tmp_path: Path
) -> None:
    api.lost["/notes"] = 1_000
    script = subprocess.Popen(
        [sys.executable, "-c", NOTED], cwd=ROOT, env=os.environ.copy(), stdin=subprocess.PIPE
    )
    wait_until(lambda: api.lost["/notes"] < 1_000)
    script.communicate()
    assert script.returncode == -signal.SIGKILL
    api.lost.clear()
    assert send_what_is_left(tmp_path / "spool", api) == 1
    (run,) = db.runs.list().runs
    assert [note.text for note in db.external.list_notes(run.run_id)] == ["once"]
