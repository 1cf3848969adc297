"""What docs/training-monitor.md shows is run as it stands there, against the real API."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from werkzeug.serving import make_server

from backend import create_app
from redis_db import RedisDB
from schema import Run, Status
from settings import Settings
from tests.programs import wait_until
from training_monitor import MonitorError, TrainingMonitor, monitor
from training_monitor.connection import Connection
from training_monitor.media_calls import MediaCalls

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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
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
        "resnet50_training": 1, "with_a_block": 1, "train": 2, "with_files": 1, "goes_on": 1,
        "with_energy": 1,
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

    assert names["weights"]["layer1.bias"].tolist() == [3.0] * 16
    check_files(db, runs["with_files"][0], runs["goes_on"][0])
    comparison = names["comparison"]
    assert comparison.missing == {}
    assert comparison.names[runs["train"][-1].run_id] == "train"
    assert comparison.metrics["loss"][block.run_id].best == 0.01
    assert comparison.page_url in capsys.readouterr().out
    assert list((tmp_path / "spool").iterdir()) == []


def check_files(db: RedisDB, run: Run, next_run: Run) -> None:
    """What a run of the page has kept, and that the next one began with it."""
    kept = [
        (each.name, each.version, each.step) for each in db.artifacts.list(run.run_id, limit=10).artifacts
    ]
    assert sorted(kept) == [
        (name, step + 1, step) for name in ("checkpoint.safetensors", "confusion_matrix") for step in range(3)
    ]
    model = db.models.get("resnet50", 1)
    assert (model.artifact.name, model.artifact.version) == ("checkpoint.safetensors", 3)
    assert list(model.used_by) == [next_run.run_id]


class Network(nn.Module):
    """The network of the sample below."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.layer2(self.layer1(batch).relu()))


SAMPLE = """
from training_monitor import TrainingMonitor
monitor = TrainingMonitor(experiment_name="resnet50_training", project_name="image_classification")
monitor.log_metrics({"loss": train_loss, "val_accuracy": val_acc}, step=epoch)
monitor.log_image("confusion_matrix", figure_or_array); monitor.log_histogram("weights", model.layer1.weight.data); monitor.log_graph(model, input_sample)
monitor.save_checkpoint(model.state_dict(), epoch); monitor.add_tag("architecture", "resnet50"); monitor.add_note("…"); monitor.compare_experiments(["exp1", "exp2"])
"""  # noqa: E501 as it was promised


def test_the_sample_is_run_as_it_was_promised(
    db: RedisDB, api_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("exp1", "exp2"):
        with TrainingMonitor(name, params={"name": name}, strict=True) as other:
            other.log_metrics({"loss": 1.0}, 0)
            run_id = other.run_id
    names: dict[str, Any] = {
        "train_loss": 0.5, "val_acc": 0.75, "epoch": 4, "model": Network(), "input_sample": torch.zeros(1, 8),
        "figure_or_array": np.eye(3, dtype=int),
    }  # fmt: skip
    exec(SAMPLE, names)  # noqa: S102 our own
    assert names["monitor"].finish()

    (run,) = runs_by_name(db)["resnet50_training"]
    assert run.options.project == "image_classification"
    found = {each.kind: each for each in db.artifacts.list(run.run_id, limit=10).artifacts}
    assert {kind: (each.name, each.step) for kind, each in found.items()} == {
        "image": ("confusion_matrix", 4), "graph": ("graph", None),
        "checkpoint": ("checkpoint.safetensors", 4),
    }  # fmt: skip
    connection = Connection(api_url)
    weights = tmp_path / "weights"
    with weights.open("wb") as stream:
        assert connection.fetch_file(found["checkpoint"].url, stream) == found["checkpoint"].sha256
    histograms = connection.get(f"/api/histograms/{run.run_id}", {"name": "weights"})["histograms"]
    connection.close()
    assert torch.equal(load_file(weights)["layer1.weight"], names["model"].layer1.weight)
    assert (histograms["weights"]["steps"], sum(histograms["weights"]["counts"][0])) == ([4], 32)
    printed = capsys.readouterr().out
    assert re.search(rf"http://127\.0\.0\.1:8501/compare\?run=[0-9a-f]{{32}}&run={run_id}\n", printed)


def test_a_model_is_brought_here_once_and_only_whole(db: RedisDB, api_url: str, tmp_path: Path) -> None:
    with TrainingMonitor("trains", strict=True, system_metrics=False) as monitor:
        for epoch in range(3):
            monitor.save_checkpoint({"w": torch.full((2,), epoch)}, epoch)
            monitor.register_model("digits")
    db.models.set_stage("digits", 2, "production", None)
    db.models.set_stage("digits", 3, "archived", None)

    assert value_of(monitor.use_model("digits")) == 1
    assert value_of(monitor.use_model("digits:1")) == 0
    assert value_of(monitor.use_model("digits:3", tmp_path)) == 2
    for wanted in ("digits:9", "nobody", "a/b", "digits:x"):
        with pytest.raises(MonitorError, match=wanted):
            monitor.use_model(wanted)

    kept = monitor.use_model("digits:1")
    kept.write_bytes(b"cut off")
    assert value_of(monitor.use_model("digits:1")) == 0

    version = db.models.get("digits", 1)
    artifact = db.artifacts.get(version.run_id, version.artifact.name, version.artifact.version)
    (stored,) = tmp_path.glob(f"experiments/{artifact.file}")
    stored.write_bytes(stored.read_bytes()[:-1] + b"!")
    kept.unlink()
    with pytest.raises(MonitorError, match="SHA-256"):
        monitor.use_model("digits:1")
    assert [path.name for path in kept.parent.iterdir()] == [monitor.use_model("digits").name]


def value_of(path: Path) -> float:
    return float(load_file(path)["w"][0])


def test_a_cancel_on_the_page_reaches_the_script_and_a_resume_goes_on(db: RedisDB, api_url: str) -> None:
    first = TrainingMonitor("asked", strict=True, system_metrics=False)
    assert first.run_id is not None
    db.controls.cancel(first.run_id)
    first.log_metrics({"loss": 1.0}, 0)
    wait_until(lambda: first.is_cancelled)
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
    both = vars(TrainingMonitor) | vars(MediaCalls)
    calls = {name for name in both if not name.startswith("_")} - {"finish_with"}
    source = "".join(path.read_text() for path in Path(monitor.__file__).parent.rglob("*.py"))
    variables = set(re.findall(r"\bWATTLE_[A-Z_]+\b", source))
    for name in options | calls:
        assert re.search(rf"[`(]{name}\b|, {name}\b|`{name}", PAGE), name
    for variable in variables:
        assert f"`{variable}`" in PAGE, variable
