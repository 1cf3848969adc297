"""What the SDK keeps beside numbers: pictures, histograms, graphs, weights, files."""

from __future__ import annotations

import io
import itertools
import json
import logging
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
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load
from torch import nn

from tests.monitor_server import MonitorServer, Recorded, Refusal, Stored
from tests.programs import wait_until
from training_monitor import TrainingMonitor
from training_monitor.connection import Connection
from training_monitor.replay import replay

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


def test_a_server_that_is_away_holds_no_call_up_and_gets_each_once(
    start: Start, server: MonitorServer
) -> None:
    server.stop()
    monitor = start()
    began_s = time.perf_counter()
    for step in range(100):
        monitor.log_image("picture", np.full((8, 8), step, dtype=np.uint8), step)
        monitor.log_histogram("weights", np.arange(step + 1), step)
    assert time.perf_counter() - began_s < 5
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
    assert uploading.wait(10)
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
    assert time.perf_counter() - began_s < 4
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


def test_a_killed_or_forked_process_keeps_nothing_twice(start: Start, server: MonitorServer) -> None:
    monitor = start(strict=True)
    monitor.log_image("parent", np.zeros((2, 2)))
    if (child := os.fork()) == 0:
        monitor.log_image("child", np.zeros((2, 2)))
        os._exit(0)
    os.waitpid(child, 0)
    assert monitor.finish()
    assert [file.name for file in server.only_run.files] == ["parent"]


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
