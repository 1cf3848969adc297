"""The SDK with nothing installed but what the project's base installs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import carbon_aware_trainer
import training_monitor
from tests.integration.test_bare_library import HTTPX, NUMPY, run
from tests.monitor_server import MonitorServer, monitor_server

BASE = (*HTTPX, "psutil")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
PROGRAM = """
import sys
import training_monitor
from training_monitor import TrainingMonitor
before = {name.partition(".")[0] for name in sys.modules}
with TrainingMonitor("bare", api_url=%r, spool_dir="spool", strict=True%s) as monitor:
    monitor.log_metrics({"loss": 0.5}, 0)
    monitor.end_epoch()
    monitor.log_samples([{"image": %s, "prediction": 1, "ground_truth": 1, "confidence": 1}],
                        step=0, loss=0.5)
print(sorted(before & {"torch", "numpy", "PIL", "redis", "flask", "pydantic", "carbon_aware_trainer"}))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    for package in (training_monitor, carbon_aware_trainer):
        own = Path(str(package.__file__)).parent
        (tmp_path / "site" / own.name).symlink_to(own)
    return tmp_path


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    with monitor_server() as started:
        yield started


def test_the_base_is_httpx_and_psutil(place: Path, server: MonitorServer) -> None:
    assert run(place, PROGRAM % (server.url, "", repr(PNG)), *BASE) == "[]"
    assert server.only_run.points["loss"][0][:2] == (0, 0.5)


MEDIA = """
import sys
from training_monitor import TrainingMonitor
with TrainingMonitor("bare", api_url=%r, spool_dir="spool", strict=True) as monitor:
    monitor.log_image("picture", %r)
    monitor.log_image("array", [[1]])
    monitor.log_histogram("weights", [1.0])
    monitor.save_checkpoint({"w": [1.0]}, 0)
    monitor.log_artifact("program.txt")
print(sorted({"torch", "numpy", "PIL", "keras"} & {name.partition(".")[0] for name in sys.modules}))
"""


def test_files_need_nothing_and_the_rest_names_the_extra(place: Path, server: MonitorServer) -> None:
    (place / "program.txt").write_text("what was run")
    assert run(place, MEDIA % (server.url, PNG), *BASE) == "[]"
    assert [(file.name, file.data) for file in server.only_run.files] == [
        ("picture", PNG), ("program.txt", b"what was run"),
    ]  # fmt: skip
    assert server.only_run.histograms == []


def test_energy_without_numpy_is_measured_and_its_co2_names_the_extra(
    place: Path, server: MonitorServer
) -> None:
    run(place, PROGRAM % (server.url, ", energy=True", "[[1]]"), *BASE)
    assert "duration_s" in server.only_run.points
    assert "energy_kwh" in server.only_run.points
    assert "co2_g" not in server.only_run.points
    assert 'pip install "wattle[carbon]"' in "\n".join(server.only_run.lines)


def test_with_numpy_and_without_pillow_the_loop_goes_on_without_samples(
    place: Path, server: MonitorServer
) -> None:
    assert run(place, PROGRAM % (server.url, "", "[[1]]"), *BASE, *NUMPY) == "[]"
    assert server.samples == []
    assert server.only_run.acts[-1] == ("status", {"status": "done"})
