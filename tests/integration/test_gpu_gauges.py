"""How the GPUs of a worker stand while its run trains on several."""

from __future__ import annotations

from pathlib import Path

from carbon_aware_trainer.energy import EnergyMonitor
from tests.fake_hardware import FakeGpu, FakeNvml
from tests.integration.test_energy_monitor import options
from tests.programs import wait_until


def test_a_worker_tells_how_each_gpu_of_its_run_stands_and_later_its_own_alone(tmp_path: Path) -> None:
    first, second, another = FakeGpu("GPU-a"), FakeGpu("GPU-b"), FakeGpu("GPU-c")
    nvml = FakeNvml(first, second, another)
    with EnergyMonitor(options(tmp_path, nvml)) as monitor:
        wait_until(lambda: uuids_of(monitor) == ["GPU-a"])
        second.load_percent = 93
        monitor.begin(gpus=2)
        wait_until(lambda: uuids_of(monitor) == ["GPU-a", "GPU-b"])
        assert [(facts.index, facts.utilisation) for facts in monitor.gpu_facts] == [(0, 0.42), (1, 0.93)]
        monitor.end()
        wait_until(lambda: uuids_of(monitor) == ["GPU-a"])
    assert nvml.users == 0


def uuids_of(monitor: EnergyMonitor) -> list[str | None]:
    return [facts.uuid for facts in monitor.gpu_facts]
