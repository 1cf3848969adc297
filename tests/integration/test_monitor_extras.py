"""What the SDK adds to metrics: samples, comparisons, the machine, energy."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.monitor_server import MonitorServer
from tests.programs import wait_until
from training_monitor import TrainingMonitor

Start = Callable[..., TrainingMonitor]


def test_samples_are_shown_as_small_pictures(start: Start, server: MonitorServer) -> None:
    monitor = start(strict=True)
    shown = [
        {
            "image": np.full((3, 28, 28), number / 40),
            "prediction": number,
            "ground_truth": 1,
            "confidence": 0.5,
        }
        for number in range(40)
    ]
    monitor.log_samples(shown, step=3, loss=0.25, batch_size=64)
    wait_until(lambda: server.samples)
    (update,) = server.samples
    assert (update["iteration"], update["loss"], update["batch_size"]) == (3, 0.25, 64)
    assert update["run_id"] == monitor.run_id
    assert [sample["prediction"] for sample in update["samples"]] == [str(n * 40 // 16) for n in range(16)]
    image = Image.open(io.BytesIO(base64.b64decode(update["samples"][4]["image_b64"])))
    assert (image.format, image.size, image.getpixel((3, 3))) == ("PNG", (28, 28), (63, 63, 63))


def test_a_picture_is_sent_as_it_was_when_it_was_logged(start: Start, server: MonitorServer) -> None:
    monitor = start(strict=True)
    image = np.zeros((900, 300), dtype=np.uint8)
    monitor.log_samples(
        [{"image": image, "prediction": 0, "ground_truth": 0, "confidence": 1.0}], step=0, loss=float("nan")
    )
    image[:] = 255
    wait_until(lambda: server.samples)
    assert server.samples[0]["loss"] == "NaN"
    sent = Image.open(io.BytesIO(base64.b64decode(server.samples[0]["samples"][0]["image_b64"])))
    assert (sent.size, sent.getextrema()) == ((171, 512), (0, 0))


def test_runs_are_compared_by_id_and_by_the_newest_of_a_name(
    start: Start, server: MonitorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rate in (("exp1", 0.1), ("exp2", 0.2), ("exp2", 0.3)):
        with start(name, params={"lr": rate, "same": 1, "net": {"depth": 2}}, strict=True) as monitor:
            for step in range(3):
                monitor.log_metrics({"loss": abs(step - 1) + rate, "acc": rate * step, "system/x": 1}, step)
    ids = list(server.runs)
    found = start("exp3").compare_experiments([ids[0], "exp2", "exp9"])
    assert found.names == {ids[0]: "exp1", ids[2]: "exp2"}
    assert found.params == {"lr": {ids[0]: 0.1, ids[2]: 0.3}}
    assert (found.metrics["loss"][ids[0]].best, found.metrics["loss"][ids[0]].last) == (0.1, 1.1)
    assert found.metrics["acc"][ids[2]].best == pytest.approx(0.6)
    assert list(found.missing) == ["exp9"]
    assert found.page_url == f"http://page.example:8501/compare?run={ids[0]}&run={ids[2]}"
    printed = capsys.readouterr().out
    assert found.page_url in printed
    assert "system/x" in found.metrics
    assert "system/x" not in printed
    assert start("exp4").compare_experiments([ids[0]]).page_url == "http://page.example:8501/"
    server.page_url = ""
    older = start("exp5").compare_experiments(ids)
    assert (older.page_url, len(older.names)) == (f"{server.url}/", 3)


def test_the_machine_is_watched(start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_monitor.monitor.SYSTEM_EVERY_S", 0.05)
    monitor = start(system_metrics=True)
    wait_until(lambda: server.runs and len(server.only_run.points.get("system/cpu_percent", [])) >= 2)
    monitor.finish()
    names = set(server.only_run.points)
    assert {
        "system/cpu_percent", "system/process_cpu_percent", "system/memory_percent", "system/disk_percent",
        "system/process_memory_mib", "system/network_sent_mib_per_s",
    } <= names  # fmt: skip
    (resident,) = {name for name in names if "process_memory" in name}
    assert 10 < server.only_run.points[resident][0][1] < 100_000


def test_epochs_have_energy_and_co2(start: Start, server: MonitorServer) -> None:
    monitor = start(energy=True)
    for epoch in (1, 2):
        deadline = time.perf_counter() + 0.3
        while time.perf_counter() < deadline:
            sum(range(1_000))
        monitor.log_metrics({"loss": 1.0}, epoch)
        monitor.end_epoch()
    assert monitor.finish()
    run = server.only_run
    assert run.body["environment"]["energy_quality"] in ("measured", "estimated")
    assert [point[0] for point in run.points["energy_kwh"]] == [1, 2]
    for (_, energy, _), (_, co2, _) in zip(run.points["energy_kwh"], run.points["co2_g"], strict=True):
        assert 0 < energy < 1e-3
        assert 100 < co2 / energy < 1_000  # g/kWh of the default country
    assert run.points["duration_s"][1][1] == pytest.approx(0.3, abs=0.2)
