"""What the SDK reads of GPUs, through a library like NVIDIA's own."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from tests.fake_hardware import FakeGpu, FakeNvmlLibrary
from training_monitor import nvml
from training_monitor.nvml import Gpus
from training_monitor.system import SystemMeter


def gpu_of(load: int | None, used: int | None, celsius: int | None, power: int | None) -> FakeGpu:
    gpu = FakeGpu("GPU-1")
    gpu.load_percent, gpu.used_bytes, gpu.temperature_c, gpu.power_mw = load, used, celsius, power
    return gpu


def test_each_gpu_tells_its_load_memory_temperature_and_power() -> None:
    library = FakeNvmlLibrary(gpu_of(97, 3 << 30, 71, 612_345), gpu_of(0, 5 << 20, 30, 75_000))
    assert Gpus(library).read() == {
        "gpu0_percent": 97.0, "gpu0_memory_mib": 3_072.0, "gpu0_temperature_c": 71.0, "gpu0_power_w": 612.345,
        "gpu1_percent": 0.0, "gpu1_memory_mib": 5.0, "gpu1_temperature_c": 30.0, "gpu1_power_w": 75.0,
    }  # fmt: skip


def test_what_a_gpu_does_not_tell_is_absent_and_no_zero() -> None:
    library = FakeNvmlLibrary(gpu_of(None, 1 << 20, None, None), gpu_of(50, None, 40, 100_000))
    assert Gpus(library).read() == {
        "gpu0_memory_mib": 1.0, "gpu1_percent": 50.0, "gpu1_temperature_c": 40.0, "gpu1_power_w": 100.0,
    }  # fmt: skip


def test_a_gpu_that_goes_away_takes_no_other_with_it_and_may_come_back() -> None:
    first, second = gpu_of(1, None, None, None), gpu_of(2, None, None, None)
    gpus = Gpus(FakeNvmlLibrary(first, second))
    first.is_gone = True
    assert gpus.read() == {"gpu1_percent": 2.0}
    first.is_gone = False
    assert gpus.read() == {"gpu0_percent": 1.0, "gpu1_percent": 2.0}


def test_a_gpu_that_is_lost_from_the_start_leaves_the_others_their_numbers() -> None:
    first, second = gpu_of(1, None, None, None), gpu_of(2, None, None, None)
    first.is_gone = True
    gpus = Gpus(FakeNvmlLibrary(first, second))
    assert gpus.read() == {"gpu1_percent": 2.0}


def test_a_driver_without_a_function_tells_the_rest() -> None:
    class OldLibrary(FakeNvmlLibrary):
        nvmlDeviceGetPowerUsage = None  # type: ignore[assignment] # noqa: N815 as in a library without it

    assert Gpus(OldLibrary(gpu_of(7, None, None, 100))).read() == {"gpu0_percent": 7.0}


@pytest.mark.parametrize("is_there", [True, False])
def test_a_machine_without_a_driver_or_with_one_that_does_not_start_has_no_gpus(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        def nvmlInit_v2(self) -> int:  # noqa: N802 the library's own name
            return 9  # NVML_ERROR_DRIVER_NOT_LOADED

    def load(_name: str) -> Any:
        if is_there:
            return Stopped()
        raise OSError("libnvidia-ml.so.1: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert nvml.Gpus().read() == {}


def test_the_metrics_of_gpus_are_among_those_of_the_system() -> None:
    gpu = gpu_of(97, 3 << 30, 71, 612_000)
    meter = SystemMeter(Gpus(FakeNvmlLibrary(gpu)))
    assert {name: value for name, value in meter.read().items() if "gpu" in name} == {
        "system/gpu0_memory_mib": 3_072.0, "system/gpu0_percent": 97.0, "system/gpu0_power_w": 612.0,
        "system/gpu0_temperature_c": 71.0,
    }  # fmt: skip
    gpu.is_gone = True
    rest = meter.read()
    assert "system/cpu_percent" in rest
    assert not [name for name in rest if "gpu" in name]
