"""What the server refuses: other metrics come, and once; a run that it does not begin is kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_training_monitor import Start, has_points
from tests.monitor_server import MonitorServer, Refusal, wait_until_ended
from tests.programs import wait_until
from training_monitor.__main__ import main
from training_monitor.connection import Connection
from training_monitor.replay import replay


def test_one_metric_that_the_server_refuses_costs_the_others_nothing(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse = lambda _path, body: (
        Refusal(422, "bad has too many points.") if body and "bad" in body.get("points", {}) else None
    )
    monitor = start()
    for step in range(3):
        monitor.log_metrics({"loss": step, "bad": step, "acc": step}, step)
        wait_until(partial(has_points, server, "acc", step + 1))
    assert monitor.finish()
    run = server.only_run
    assert sorted(run.points) == ["acc", "loss"]
    assert [point[0] for point in run.points["loss"]] == [0, 1, 2]
    assert caplog.text.count("No more points of bad") == 1


def test_what_came_one_by_one_is_not_sent_again_as_one(start: Start, server: MonitorServer) -> None:
    away = [Refusal(503, "Not now.")]

    def refuse(_path: str, body: Any) -> Refusal | None:
        points = (body or {}).get("points", {})
        if "bad" in points:
            return Refusal(422, "bad has too many points.")
        return away.pop() if list(points) == ["acc"] and away else None

    server.refuse = refuse
    monitor = start()
    monitor.log_metrics({"loss": 1.0, "bad": 1.0, "acc": 1.0}, 0)
    assert monitor.finish()
    assert away == []
    assert {name: len(points) for name, points in server.only_run.points.items()} == {"loss": 1, "acc": 1}


def refuse_to_begin(path: str, _body: Any) -> Refusal | None:
    return Refusal(422, "The name has a bad sign.") if path == "/api/experiments" else None


def test_what_was_logged_to_a_run_that_the_server_does_not_begin_is_kept_and_can_be_sent_later(
    start: Start,
    server: MonitorServer,
    spool: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.refuse = refuse_to_begin
    monitor = start("odd")
    monitor.log_metrics({"loss": 1.0}, 0)
    assert not monitor.finish()
    (kept,) = spool.iterdir()
    assert kept.name.startswith("refused-")
    assert str(kept) in caplog.text
    assert "next monitor" not in caplog.text

    command = ["replay", "--spool-dir", str(spool), "--api-url", server.url]
    assert main(command) == 0, "it is not tried again by itself"
    assert f"Not sent: odd in {kept}: the server does not take the run 'odd'" in capsys.readouterr().out
    assert main([*command, "--refused"]) == 1
    assert [folder.name for folder in spool.iterdir()] == [kept.name]
    server.refuse = lambda _path, _body: None
    assert main([*command, "--refused"]) == 0
    assert "1 sessions sent" in capsys.readouterr().out
    assert [point[:2] for point in server.only_run.points["loss"]] == [(0, 1.0)]
    assert server.only_run.acts == [("status", {"status": "done"})]
    assert list(spool.iterdir()) == []


def test_a_run_that_a_replay_cannot_begin_is_kept_and_does_not_count_as_sent(
    start: Start, server: MonitorServer, spool: Path
) -> None:
    server.stop()
    monitor = start("odd")
    monitor.log_metrics({"loss": 1.0}, 0)
    monitor.finish(timeout_s=0.0)
    wait_until_ended(monitor)
    server.start()
    server.refuse = refuse_to_begin
    connection = Connection(server.url)
    assert replay(spool, connection)[:3] == (0, 0, 1)
    assert replay(spool, connection)[:3] == (0, 0, 0)
    connection.close()
    (kept,) = spool.iterdir()
    assert (kept / "refused.txt").read_text().endswith("The name has a bad sign.")
