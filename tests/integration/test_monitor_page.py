"""What docs/training-monitor.md shows is run as it stands there, against the real API."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from backend import create_app
from redis_db import RedisDB
from schema import Run, Status
from settings import Settings
from tests.programs import wait_until
from training_monitor import MonitorError, TrainingMonitor, monitor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training-monitor.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def api_url(db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The API in a thread of this process, and the SDK's variables for it."""
    server = make_server("127.0.0.1", 0, create_app(Settings(data_dir=tmp_path), db), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("WATTLE_API_URL", url)
    monkeypatch.setenv("WATTLE_SPOOL_DIR", str(tmp_path / "spool"))
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def runs_by_name(db: RedisDB) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in reversed(db.runs.list().runs):
        found.setdefault(run.name or "", []).append(run)
    return found


def test_the_examples_are_run_as_they_stand(
    db: RedisDB, api_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/training-monitor.md", "exec"), names)  # noqa: S102 our own page
    runs = runs_by_name(db)
    assert {name: len(found) for name, found in runs.items()} == {
        "resnet50_training": 1, "with_a_block": 1, "train": 2, "with_energy": 1,
    }  # fmt: skip
    assert {run.status for found in runs.values() for run in found} == {Status.DONE}

    (first,) = runs["resnet50_training"]
    assert (first.options.project, first.options.tags) == ("image_classification", ("architecture=resnet50",))
    assert db.metrics.get(first.run_id, "val_accuracy")["value"].tolist() == [0.5, 0.6, 0.7]
    assert [note.text for note in db.external.list_notes(first.run_id)] == ["A first try."]
    (block,) = runs["with_a_block"]
    assert db.metrics.get(block.run_id, "loss")["step"].tolist() == list(range(100))
    (energy,) = runs["with_energy"]
    assert energy.energy_kwh
    assert energy.energy_quality in ("measured", "estimated")

    comparison = names["comparison"]
    assert comparison.missing == {}
    assert comparison.names[runs["train"][-1].run_id] == "train"
    assert comparison.metrics["loss"][block.run_id].best == 0.01
    ids = "&".join(f"run={run_id}" for run_id in comparison.names)
    assert f"http://127.0.0.1:8501/compare?{ids}\n" in capsys.readouterr().out
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_cancel_on_the_page_reaches_the_script_and_a_resume_goes_on(db: RedisDB, api_url: str) -> None:
    first = TrainingMonitor("asked", strict=True, system_metrics=False)
    assert first.run_id is not None
    db.controls.cancel(first.run_id)
    first.log_metrics({"loss": 1.0}, 0)
    wait_until(lambda: first.is_cancelled, timeout_s=10)
    assert first.finish("cancelled")
    assert db.runs.get(first.run_id).status is Status.CANCELLED

    with TrainingMonitor("asked", strict=True, resume=first.run_id, system_metrics=False) as second:
        second.log_metrics({"loss": float("nan")}, 1)
        second.log_text("It goes on.")
    assert str(db.metrics.get(first.run_id, "loss")["value"].tolist()) == "[1.0, nan]"
    assert db.runs.get(first.run_id).status is Status.DONE
    assert "It goes on." in [line.text for line in db.log.list(first.run_id)]


def test_a_run_of_the_queue_cannot_be_resumed(db: RedisDB, api_url: str) -> None:
    run = db.queue.submit({"trainer": "demo", "num_epochs": 1})
    with pytest.raises(MonitorError, match="queue"):
        TrainingMonitor("mine", strict=True, resume=run.run_id)


def test_the_page_names_every_option_call_and_variable() -> None:
    options = set(inspect.signature(TrainingMonitor).parameters)
    calls = {name for name in vars(TrainingMonitor) if not name.startswith("_")} - {"finish_with"}
    source = "".join(path.read_text() for path in Path(monitor.__file__).parent.rglob("*.py"))
    variables = set(re.findall(r"\bWATTLE_[A-Z_]+\b", source))
    for name in options | calls:
        assert re.search(rf"[`(]{name}\b|, {name}\b|`{name}", PAGE), name
    for variable in variables:
        assert f"`{variable}`" in PAGE, variable
