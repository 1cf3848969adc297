"""How the GPUs of a worker stand while its run trains on several."""

from __future__ import annotations

import time
from pathlib import Path

from carbon_aware_trainer.energy import EnergyMonitor
from carbon_aware_trainer.energy.gauges import GpuGauges
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
        assert [(facts.index, facts.utilisation) for facts in monitor.gpu_facts if facts] == [
            (0, 0.42),
            (1, 0.93),
        ]
        monitor.end()
        wait_until(lambda: uuids_of(monitor) == ["GPU-a"])
    assert nvml.users == 0


def test_a_gpu_that_is_gone_leaves_its_place_to_no_other() -> None:
    gauges = GpuGauges(nvml=FakeNvml(FakeGpu("GPU-b")), clock=time.monotonic_ns)
    gauges.read({"gpu:0": "GPU-a", "gpu:1": "GPU-b"})
    assert [facts and (facts.uuid, facts.index) for facts in gauges.facts] == [None, ("GPU-b", 1)]
    gauges.close()


def uuids_of(monitor: EnergyMonitor) -> list[str | None]:
    return [None if facts is None else facts.uuid for facts in monitor.gpu_facts]
