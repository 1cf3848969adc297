"""Hardware whose counters a test sets: a clock, NVML, and the operating system's processes."""

# ruff: noqa: N802 - pynvml's own names

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

from carbon_aware_trainer.energy.process_tree import ProcessFacts


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
        self.load_percent = 0
        self.is_gone = False


class FakeNvml:
    """What pynvml offers, over counters that the test sets."""

    NVMLError = FakeNvmlError

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
