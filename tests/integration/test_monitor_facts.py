"""What the SDK says of where a run runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.monitor_server import MonitorServer
from tests.programs import wait_until
from training_monitor import TrainingMonitor
from training_monitor.delivery import Delivery
from training_monitor.spool import create


def test_a_run_says_its_packages_and_its_system(
    start: Callable[..., TrainingMonitor], server: MonitorServer
) -> None:
    start().finish()
    (run,) = server.runs.values()
    said = run.body["environment"]
    assert f"numpy=={metadata.version('numpy')}" in said["packages"].split(", ")
    assert {"os", "python", "host"} <= said.keys()


def test_construction_and_logging_wait_for_none_of_it(
    start: Callable[..., TrainingMonitor], server: MonitorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_released = threading.Event()

    def look(_: Path) -> dict[str, Any]:
        is_released.wait(60)
        return {"packages": "late==1"}

    monkeypatch.setattr("training_monitor.facts.describe_surroundings", look)
    monkeypatch.setattr("training_monitor.facts._WAIT_S", 60.0)
    monitor = start()
    monitor.log_metrics({"loss": 1.0})
    assert server.runs == {}, "it is begun only when that is known"
    is_released.set()
    wait_until(lambda: server.runs)
    (run,) = server.runs.values()
    assert run.body["environment"]["packages"] == "late==1"


def test_a_second_try_says_what_the_first_has_said(spool: Path) -> None:
    asked: list[dict[str, Any]] = []
    facts = iter([{"packages": "first==1"}, {"packages": "second==2", "os": "found later"}])

    class Away:
        def post(self, _path: str, body: dict[str, Any], **_: object) -> Any:
            asked.append(body)
            raise ConnectionError

        def close(self) -> None:
            pass

    kept = create(spool, "http://127.0.0.1:9", {"name": "n", "environment": {"host": "h"}})
    delivery = Delivery(kept, Away(), facts=lambda: next(facts))  # type: ignore[arg-type] # what it needs of it
    for _ in range(2):
        with pytest.raises(ConnectionError):
            delivery.open()
    assert asked[0] == asked[1]
    assert asked[0]["environment"] == {"host": "h", "packages": "first==1"}
    head = json.loads((kept.folder / "head.json").read_text())
    assert head["experiment"]["environment"] == asked[0]["environment"]
    kept.discard()
