"""Our own energy meter as the benchmarks use it: the one place that knows its interface."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from carbon_aware_trainer.energy import EnergyMonitor, Meter, MeterOptions, read_ram_constant_w
from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.energy.nvml import NvmlCounterMeter, NvmlPowerMeter
from carbon_aware_trainer.energy.visible import find_visible
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Reading

RAM = "ram"


class OurEnergy:
    """What a process tree uses, sampled at the default rate, as a worker has it.

    In a folder of its own: on a host where workers run, theirs would be the sampler otherwise.
    """

    def __init__(self, device: str, pid: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wattle-bench-energy-")
        options = MeterOptions(device=device, folder=Path(self._folder.name))
        self._monitor = EnergyMonitor(options, root_pid=pid)

    def __enter__(self) -> OurEnergy:
        """Start sampling; the first sample is there when this returns."""
        self._monitor.start()
        self.source = self._monitor.describe()
        self._monitor.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._monitor.end()
        self._monitor.stop()
        self._folder.cleanup()

    def read(self, start_ns: int, end_ns: int) -> Reading:
        """Return what was used between two moments of ``time.monotonic_ns()``; never raises."""
        return self._monitor.reading(start_ns, end_ns)


def by_part_j(reading: Reading) -> Mapping[str, float]:
    """Return the joules by part, those of all GPUs in one, and memory's constant, which no total contains.

    Raises MeterUnavailable when the total is not known.
    """
    if reading.energy_j is None:
        raise MeterUnavailable(reading.reason or "The energy is not known.")
    parts: dict[str, float] = {}
    for key, joules in reading.by_source_j.items():
        part = key.partition(":")[0]
        parts[part] = parts.get(part, 0.0) + joules
    return {RAM: read_ram_constant_w() * reading.span_s, **parts}


class GpuMeters(NamedTuple):
    """Both ways to read one GPU."""

    counter: Meter
    power: Meter


def open_gpu_both_ways(
    nvml: Any,
    index: int,
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = time.monotonic_ns,
) -> GpuMeters:
    """Open the energy counter of ``cuda:<index>`` and, beside it, its power, integrated.

    nvml: a module like pynvml. Raises MeterUnavailable when there is no such GPU or one way is missing.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise MeterUnavailable(f"NVML does not start: {error}.") from error
    try:
        handle = find_visible(nvml, index, environ)
        name = str(nvml.nvmlDeviceGetName(handle))
        counter = NvmlCounterMeter(nvml, handle, "gpu", name, clock=clock)
        power = NvmlPowerMeter(nvml, handle, "gpu", name, clock=clock)
        nvml.nvmlInit()  # twice in all: each meter shuts it down once
    except nvml.NVMLError as error:
        nvml.nvmlShutdown()
        raise MeterUnavailable(f"cuda:{index} has no energy counter beside its power: {error}.") from error
    except MeterUnavailable:
        nvml.nvmlShutdown()
        raise
    return GpuMeters(counter, power)
