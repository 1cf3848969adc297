"""Metrics that the server refuses: the others come, and once."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.integration.test_training_monitor import Start, has_points
from tests.monitor_server import MonitorServer, Refusal
from tests.programs import wait_until


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
