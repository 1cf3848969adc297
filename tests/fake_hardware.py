"""Hardware whose counters a test sets: a clock, NVML, RAPL, and the operating system's processes and CPUs."""

# ruff: noqa: N802, ARG002 - pynvml's own names and arguments

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from carbon_aware_trainer.energy.meter import Meter
from carbon_aware_trainer.energy.process_tree import ProcessFacts
from carbon_aware_trainer.errors import MeterUnavailable


class FakeClock:
    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


class FakeNvmlError(Exception):
    pass


class FakeGpu:
    def __init__(self, uuid: str, name: str = "NVIDIA H200", energy_mj: int | None = 0, is_mig: bool = False):
        self.uuid, self.name, self.energy_mj, self.is_mig = uuid, name, energy_mj, is_mig
        self.power_mw: int | None = 100_000
        self.virtualization = 0
        self.load_percent: int | None = 42
        self.used_bytes: int | None = 3 * 2**30
        self.temperature_c: int | None = None
        self.is_gone = False


class FakeNvml:
    """What pynvml offers, over counters that the test sets."""

    NVMLError = FakeNvmlError
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, *gpus: FakeGpu, starts: bool = True) -> None:
        self.gpus, self.starts, self.users = gpus, starts, 0

    def nvmlInit(self) -> None:
        if not self.starts:
            raise FakeNvmlError("NVML Shared Library Not Found")
        self.users += 1

    def nvmlShutdown(self) -> None:
        self.users -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        if index >= len(self.gpus):
            raise FakeNvmlError("Invalid Argument")
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:
        found = [gpu for gpu in self.gpus if gpu.uuid == uuid]
        if not found:
            raise FakeNvmlError("Not Found")
        return found[0]

    def nvmlDeviceGetVirtualizationMode(self, gpu: FakeGpu) -> int:
        return gpu.virtualization

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu) -> Any:
        return SimpleNamespace(used=3 * 2**30, total=141 * 2**30)

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: FakeGpu) -> int:
        return 700_000

    def nvmlDeviceGetClockInfo(self, gpu: FakeGpu, kind: int) -> int:
        return {self.NVML_CLOCK_SM: 1980}[kind]

    def nvmlDeviceGetTemperature(self, gpu: FakeGpu, kind: int) -> int:
        raise FakeNvmlError("Not Supported")

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str:
        return gpu.name

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetMigMode(self, gpu: FakeGpu) -> list[int]:
        return [int(gpu.is_mig), 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, gpu.energy_mj)

    def nvmlDeviceGetUtilizationRates(self, gpu: FakeGpu) -> SimpleNamespace:
        return SimpleNamespace(gpu=self._ask(gpu, gpu.load_percent))

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, gpu.power_mw)

    def _ask(self, gpu: FakeGpu, value: int | None) -> int:
        if gpu.is_gone:
            raise FakeNvmlError("GPU is lost")
        if value is None:
            raise FakeNvmlError("Not Supported")
        return value


class FakeNvmlLibrary:
    """What the C library of NVIDIA's driver offers, over the same GPUs: status codes, results by address."""

    SUCCESS, NOT_SUPPORTED, GPU_IS_LOST = 0, 3, 15

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = gpus

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.gpus)
        return self.SUCCESS

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        if self.gpus[index.value].is_gone:
            return self.GPU_IS_LOST
        handle._obj.value = index.value + 1
        return self.SUCCESS

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:
        return self._tell(handle, "load_percent", rates._obj, "gpu")

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        return self._tell(handle, "used_bytes", memory._obj, "used")

    def nvmlDeviceGetTemperature(self, handle: Any, kind: Any, celsius: Any) -> int:
        assert kind.value == FakeNvml.NVML_TEMPERATURE_GPU
        return self._tell(handle, "temperature_c", celsius._obj, "value")

    def nvmlDeviceGetPowerUsage(self, handle: Any, milliwatts: Any) -> int:
        return self._tell(handle, "power_mw", milliwatts._obj, "value")

    def _tell(self, handle: Any, fact: str, target: Any, field_name: str) -> int:
        gpu = self.gpus[handle.value - 1]
        if gpu.is_gone:
            return self.GPU_IS_LOST
        if getattr(gpu, fact) is None:
            return self.NOT_SUPPORTED
        setattr(target, field_name, getattr(gpu, fact))
        return self.SUCCESS


class FakeProcesses:
    """Processes as a table: pid → [parent, start, own CPU s, reaped CPU s]."""

    def __init__(self, table: dict[int, list[float]]) -> None:
        self.table = table

    def list_pids(self) -> Iterator[int]:
        return iter(list(self.table))

    def find(self, pid: int) -> ProcessFacts | None:
        row = self.table.get(pid)
        return None if row is None else ProcessFacts(int(row[0]), row[1], row[3])

    def find_cpu_s(self, pid: int) -> float | None:
        row = self.table.get(pid)
        return None if row is None else row[2]


def open_no_gpu(uuid: str) -> Meter:
    raise MeterUnavailable(f"There is no {uuid} here.")


class FakeCpu:
    """The CPU time of a machine."""

    def __init__(self) -> None:
        self.used_s = 0.0

    def busy_s(self) -> float:
        return self.used_s

    def close(self) -> None:
        pass


@dataclass
class FakeMeters:
    """The meters of a machine, as a test wants them."""

    meters: Sequence[Meter] = ()
    estimate: Any = None
    open_gpu: Callable[[str], Meter] = field(default=open_no_gpu)


RANGE_UJ = 262_143_328_850


def write_domain(root: Path, folder: str, name: str, energy_uj: int) -> Path:
    """Set a RAPL counter in a fake /sys/class/powercap."""
    path = root / folder
    path.mkdir(exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    return path
