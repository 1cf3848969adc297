"""Which meter this host has for a device."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from carbon_aware_trainer.energy.estimate import CpuTimeMeter
from carbon_aware_trainer.energy.hardware import read_cpu, thread_power
from carbon_aware_trainer.energy.meter import CompositeMeter, Meter, UnavailableMeter
from carbon_aware_trainer.energy.nvml import open_gpu
from carbon_aware_trainer.energy.rapl import POWERCAP, RaplMeter
from carbon_aware_trainer.errors import MeterUnavailable

log = logging.getLogger(__name__)


def choose_meter(device: str, *, root_pid: int, powercap: Path = POWERCAP, nvml: Any = None) -> Meter:
    """Return the best meter for training on ``device``: the CPU's, and for ``cuda:N`` that GPU's as well.

    root_pid: the process whose tree trains; estimates count its CPU time.
    A source that nothing can read makes the whole unknown: the meter's reads then raise MeterUnavailable.
    """
    try:
        if device == "cpu":
            return _open_cpu(root_pid, powercap)
        match = re.fullmatch(r"cuda(?::(\d+))?", device)
        if match is None:
            return UnavailableMeter(f"There is no energy meter for the device {device!r} yet.")
        cpu = _open_cpu(root_pid, powercap)  # first: it holds nothing open should the GPU fail
        return CompositeMeter([open_gpu(int(match[1] or 0), nvml=nvml), cpu])
    except MeterUnavailable as error:
        return UnavailableMeter(str(error))


def _open_cpu(root_pid: int, powercap: Path) -> Meter:
    try:
        return RaplMeter(powercap)
    except MeterUnavailable as error:
        log.info("CPU energy is estimated: %s", error)
        return CpuTimeMeter(root_pid, thread_power(read_cpu()))
