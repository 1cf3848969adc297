"""What the SDK keeps beside numbers: pictures, histograms, graphs, weights, files."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load
from torch import nn

from tests.monitor_server import MonitorServer, Recorded, Stored
from training_monitor import TrainingMonitor

Start = Callable[..., TrainingMonitor]


def file_of(run: Recorded, name: str) -> Stored:
    (found,) = (file for file in run.files if file.name == name)
    return found


def test_everything_arrives_with_the_step_of_its_metrics(
    start: Start, server: MonitorServer, spool: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("what I saw")
    first = nn.Linear(4, 3)
    network = nn.Sequential(first, nn.ReLU(), nn.Linear(3, 2))
    monitor = start()
    monitor.log_metrics({"loss": 0.5}, 7)
    monitor.log_image("confusion_matrix", np.array([[9, 1], [2, 8]]))
    monitor.log_histogram("weights", first.weight.data)
    monitor.log_graph(network, torch.zeros(1, 4))
    monitor.save_checkpoint(network.state_dict(), 3, {"accuracy": torch.tensor(0.5)})
    monitor.log_artifact(tmp_path / "notes.txt")
    monitor.register_model("digits")
    assert monitor.finish()

    run = server.only_run
    assert [(file.name, file.query["kind"], file.query.get("step")) for file in run.files] == [
        ("confusion_matrix", "image", "7"),
        ("graph", "graph", None),
        ("checkpoint.safetensors", "checkpoint", "3"),
        ("notes.txt", "file", None),
    ]
    picture = Image.open(io.BytesIO(file_of(run, "confusion_matrix").data))
    assert (picture.size, picture.getextrema()) == ((2, 2), (0, 255))
    (histogram,) = run.histograms
    assert (histogram["name"], histogram["step"], sum(histogram["counts"])) == ("weights", 7, 12)
    graph = json.loads(file_of(run, "graph").data)
    assert graph["edges"] == [["input", "0"], ["0", "1"], ["1", "2"]]
    checkpoint = file_of(run, "checkpoint.safetensors")
    assert json.loads(checkpoint.query["metrics"]) == {"accuracy": 0.5}
    assert torch.equal(load(checkpoint.data)["0.weight"], first.weight)
    assert file_of(run, "notes.txt").data == b"what I saw"
    assert file_of(run, "notes.txt").content_type == "application/octet-stream"
    assert [(body["name"], body["artifact"], body["version"]) for body in server.models] == [
        ("digits", "checkpoint.safetensors", 1)
    ]
    assert list(spool.iterdir()) == []


def test_what_is_kept_is_what_it_was_in_the_call(start: Start, server: MonitorServer) -> None:
    server.stop()
    monitor = start()
    pixels, weights = np.zeros((4, 4), dtype=np.uint8), {"w": torch.zeros(1_000)}
    monitor.log_image("picture", pixels)
    monitor.save_checkpoint(weights, 0)
    pixels[:], weights["w"][:] = 255, 1
    server.start()
    assert monitor.finish()
    assert Image.open(io.BytesIO(file_of(server.only_run, "picture").data)).getextrema() == (0, 0)
    assert load(file_of(server.only_run, "checkpoint.safetensors").data)["w"].sum() == 0


def test_a_state_of_an_optimizer_comes_back_with_its_numbers(start: Start, server: MonitorServer) -> None:
    network = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    monitor = start()
    monitor.save_checkpoint(
        {"model": network, "optimizer": optimizer.state_dict()} | {"best": float("inf")}, 1
    )
    monitor.save_checkpoint({"model": network.state_dict(), "optimizer": optimizer.state_dict(), "n": 3}, 1)
    assert monitor.finish()
    (kept,) = server.only_run.files
    tensors = load(kept.data)
    assert torch.equal(tensors["model.weight"], network.weight)
    assert torch.equal(tensors["optimizer.state.0.exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    header = json.loads(kept.data[8 : 8 + int.from_bytes(kept.data[:8], "little")])
    others = json.loads(header["__metadata__"]["state"])
    assert others["n"] == 3
    assert others["optimizer.param_groups"][0]["lr"] == 0.1


def test_what_would_have_to_be_pickled_is_refused_with_its_path(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = start()
    for _ in range(3):
        monitor.save_checkpoint({"w": torch.ones(1), "rates": {"at": [1, lambda step: step]}}, 0)
    monitor.save_checkpoint({"lr": 0.1}, 0)
    monitor.save_checkpoint({"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}, 0)
    assert monitor.finish()
    assert server.only_run.files == []
    assert caplog.text.count("rates.at.1 is a function") == 1
    assert "There is no tensor" in caplog.text
    assert "'a.b'" in caplog.text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.float8_e5m2])
def test_every_type_of_tensor_is_kept_bit_for_bit(
    start: Start, server: MonitorServer, tmp_path: Path, dtype: torch.dtype
) -> None:
    tensors = {"odd": torch.ones(3, dtype=torch.int8), "t": torch.arange(6).reshape(2, 3).t().to(dtype)}
    monitor = start()
    monitor.save_checkpoint(tensors | {"empty": torch.zeros(0, 4), "one": np.float32(2)}, 0)
    assert monitor.finish()
    (tmp_path / "kept").write_bytes(server.only_run.files[0].data)
    with safe_open(tmp_path / "kept", "pt") as kept:
        found = kept.get_tensor("t")
        assert found.dtype == dtype
        assert torch.equal(found.view(torch.uint8), tensors["t"].contiguous().view(torch.uint8))
        assert kept.get_tensor("empty").shape == (0, 4)
        assert kept.get_tensor("one") == 2


def test_a_histogram_counts_what_is_no_number_apart(start: Start, server: MonitorServer) -> None:
    values = np.concatenate([np.linspace(-1, 1, 1_001), [np.nan, np.inf, -np.inf]])
    monitor = start()
    monitor.log_histogram("gradients/layer1", values, 4, bins=10)
    assert monitor.finish()
    (found,) = server.only_run.histograms
    assert found["nonfinite"] == 3
    assert sum(found["counts"]) == 1_001
    assert (found["edges"][0], found["edges"][-1], len(found["edges"])) == (-1, 1, 11)


def test_a_bad_call_is_said_once_and_raises_nothing(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monitor = start()
    for _ in range(2):
        monitor.log_image("../picture", np.zeros((2, 2)))
        monitor.log_image("text", "no such file")
        monitor.log_image("five", np.zeros((2, 2, 5, 5)))
        monitor.log_image("bytes", b"GIF89a")
        monitor.log_histogram("empty", [])
        monitor.log_histogram("words", ["a"])
        monitor.log_histogram("bad name", [1])
        monitor.log_histogram("step", [1], -1)
        monitor.log_graph(object())
        monitor.log_artifact(tmp_path / "missing")
        monitor.register_model("a/b")
        monitor.save_checkpoint(None, 0)
    assert monitor.finish()
    assert server.only_run.files == []
    assert server.only_run.histograms == []
    assert caplog.text.count("is not kept") == 12
    assert caplog.text.count("gets") == 0


def test_a_folder_is_kept_file_by_file(start: Start, server: MonitorServer, tmp_path: Path) -> None:
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "a.json").write_text("{}")
    (tmp_path / "out" / "deep" / "b.bin").write_bytes(b"b")
    monitor = start()
    monitor.log_artifact(tmp_path / "out", step=2)
    monitor.log_artifact(str(tmp_path / "out" / "a.json"), "report/a.json")
    assert monitor.finish()
    assert [file.name for file in server.only_run.files] == ["out/a.json", "out/deep/b.bin", "report/a.json"]
    assert server.only_run.files[0].content_type == "application/json"


def test_a_missing_library_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    monitor = start()
    monitor.log_histogram("weights", [1.0])
    monitor.log_image("picture", b"\x89PNG\r\n\x1a\n" + bytes(8))
    monitor.finish()
    assert 'pip install "wattle[media]"' in caplog.text
