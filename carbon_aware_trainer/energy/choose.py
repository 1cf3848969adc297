"""Which meters this machine has."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carbon_aware_trainer.energy.codecarbon_process import CodeCarbonProcess
from carbon_aware_trainer.energy.foreign import find_foreign
from carbon_aware_trainer.energy.hardware import read_cpu, thread_power
from carbon_aware_trainer.energy.host_cpu import PROC_STAT
from carbon_aware_trainer.energy.meter import ESTIMATE_ERROR, Clock, Meter
from carbon_aware_trainer.energy.nvml import open_gpu
from carbon_aware_trainer.energy.rapl import POWERCAP, RaplMeter
from carbon_aware_trainer.energy.sharing import CPU
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Source

log = logging.getLogger(__name__)

# Or the name of a meter of another package.
Choice = str
OWN = ("auto", "nvml", "rapl", "estimate", "codecarbon")


@dataclass(frozen=True, slots=True)
class ChosenMeters:
    """The meters of a machine's CPUs, and the way to open those of its GPUs."""

    meters: Sequence[Meter] = ()
    estimate: tuple[Source, float] | None = None
    nvml: Any = field(default=None, repr=False)
    clock: Clock = time.monotonic_ns

    def open_gpu(self, uuid: str) -> Meter:
        """Open the meter of a GPU."""
        return open_gpu(uuid, key=uuid, nvml=self.nvml, clock=self.clock)


def choose_meters(
    choice: Choice = "auto",
    *,
    powercap: Path = POWERCAP,
    nvml: Any = None,
    codecarbon: CodeCarbonProcess | None = None,
    clock: Clock = time.monotonic_ns,
) -> ChosenMeters:
    """Return the best meters, or those that ``choice`` forces; a broken one of another package it does not.

    Raises MeterUnavailable when one that is forced cannot be read here.
    """
    if choice == "codecarbon":
        codecarbon = codecarbon or CodeCarbonProcess()
        codecarbon.start()
        return ChosenMeters([codecarbon], None, nvml, clock)
    if choice not in OWN and (foreign := find_foreign(choice, clock=clock)) is not None:
        return ChosenMeters([foreign], None, nvml, clock)
    if choice != "estimate":
        try:
            return ChosenMeters([RaplMeter(powercap, clock=clock)], None, nvml, clock)
        except MeterUnavailable as error:
            if choice == "rapl":
                raise
            log.info("CPU energy is estimated: %s", error)
    power = thread_power(read_cpu())
    text = f"CPU time × TDP ({power.basis})"
    step_s = 0.001 if PROC_STAT.is_file() else 0.01  # CPU clocks in nanoseconds, or psutil's ticks
    source = Source(CPU, "estimated", text, ESTIMATE_ERROR, step_s)
    return ChosenMeters([], (source, power.w_per_thread), nvml, clock)


def list_gpus(device: str, count: int = 1) -> tuple[int, ...]:
    """Return what CUDA calls the GPUs of a training on ``count`` of them from ``device`` on; none on a CPU.

    Raises MeterUnavailable for a device that nothing here can measure.
    """
    if device == "cpu":
        return ()
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise MeterUnavailable(f"There is no energy meter for the device {device!r} yet.")
    first = int(match[1] or 0)
    return tuple(range(first, first + max(1, count)))
