"""GPU energy from NVML, NVIDIA's management library."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from carbon_aware_trainer.energy.meter import Clock, Meter, RisingCounter
from carbon_aware_trainer.errors import IntervalLost, MeterUnavailable
from carbon_aware_trainer.records import Counter, Quality

_MAX_GAP_S = 1.0  # between two reads of the power; over a longer one a straight line would be a guess


def open_gpu(
    index: int,
    *,
    nvml: Any = None,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = time.monotonic_ns,
) -> Meter:
    """Open the meter of ``cuda:<index>``: the energy counter (Volta and newer), else the power, integrated.

    nvml: a module like pynvml, which is the default. environ: where CUDA_VISIBLE_DEVICES is looked up.
    Raises MeterUnavailable when there is no driver, no such GPU, or neither counter nor power.
    """
    nvml = nvml or _import_nvml()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise MeterUnavailable(f"NVML does not start: {error}. Is the NVIDIA driver installed?") from error
    try:
        handle, name = _find_gpu(nvml, index, environ)
        _refuse_mig(nvml, handle, name)
        return _open_counter(nvml, handle, name, clock)
    except nvml.NVMLError as error:
        nvml.nvmlShutdown()
        raise MeterUnavailable(f"The energy of cuda:{index} cannot be read: {error}.") from error
    except MeterUnavailable:
        nvml.nvmlShutdown()
        raise


class NvmlCounterMeter:
    """The board's own counter, mJ since driver load. Source: NVML, nvmlDeviceGetTotalEnergyConsumption."""

    quality: Quality = "measured"
    step_s = 0.1

    def __init__(self, nvml: Any, handle: Any, name: str, *, clock: Clock = time.monotonic_ns) -> None:
        self._nvml, self._handle, self._clock = nvml, handle, clock
        self.source = f"NVML energy counter of {name}"
        self._counter = RisingCounter(nvml.nvmlDeviceGetTotalEnergyConsumption(handle), joules_per_unit=1e-3)

    def read(self) -> Counter:
        """Read the counter."""
        try:
            raw_mj = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._nvml.NVMLError as error:
            raise MeterUnavailable(f"The {self.source} no longer answers: {error}.") from error
        return Counter(self._counter.advance(raw_mj), self._clock())

    def close(self) -> None:
        """Shut NVML down; it counts its users."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


class NvmlPowerMeter:
    """The board's power, integrated by the trapezoidal rule; it must be read at 10 Hz or faster."""

    quality: Quality = "measured"
    step_s = 0.1

    def __init__(self, nvml: Any, handle: Any, name: str, *, clock: Clock = time.monotonic_ns) -> None:
        self._nvml, self._handle, self._clock = nvml, handle, clock
        self.source = f"NVML power of {name}, integrated"
        self._joules = 0.0
        self._last_w, self._last_ns = nvml.nvmlDeviceGetPowerUsage(handle) / 1e3, clock()

    def read(self) -> Counter:
        """Read the power and add what was used meanwhile. Raises IntervalLost after a gap of over 1 s."""
        try:
            power_w = self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3
        except self._nvml.NVMLError as error:
            raise MeterUnavailable(f"The {self.source} no longer answers: {error}.") from error
        now_ns = self._clock()
        elapsed_s = (now_ns - self._last_ns) / 1e9
        mean_w = (power_w + self._last_w) / 2
        self._last_w, self._last_ns = power_w, now_ns
        if elapsed_s > _MAX_GAP_S:
            raise IntervalLost(f"The GPU's power was not read for {elapsed_s:.1f} s; that interval is lost.")
        self._joules += mean_w * elapsed_s
        return Counter(self._joules, now_ns)

    def close(self) -> None:
        """Shut NVML down; it counts its users."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


def _import_nvml() -> Any:
    try:
        return importlib.import_module("pynvml")
    except ImportError as error:
        raise MeterUnavailable("GPU energy needs NVML. Run: pip install nvidia-ml-py") from error


def _open_counter(nvml: Any, handle: Any, name: str, clock: Clock) -> Meter:
    try:
        return NvmlCounterMeter(nvml, handle, name, clock=clock)
    except nvml.NVMLError:  # boards before Volta, and vGPUs
        return NvmlPowerMeter(nvml, handle, name, clock=clock)


def _find_gpu(nvml: Any, index: int, environ: Mapping[str, str]) -> tuple[Any, str]:
    """Return the handle and the name of what CUDA calls ``index``, which is not NVML's index."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        wanted = str(index)
    else:
        entries = _list_visible(visible)
        if index >= len(entries):
            raise MeterUnavailable(f"cuda:{index} is not visible: CUDA_VISIBLE_DEVICES is {visible!r}.")
        wanted = entries[index]
    if wanted.startswith("MIG-"):
        raise MeterUnavailable(f"{wanted} is a MIG slice; NVML counts energy for the whole board only.")
    if wanted.startswith("GPU-"):
        physical = _find_by_uuid(nvml, wanted)
    else:
        _refuse_unknown_order(nvml, environ)
        physical = int(wanted)
    handle = nvml.nvmlDeviceGetHandleByIndex(physical)
    return handle, f"GPU {physical} ({nvml.nvmlDeviceGetName(handle)})"


def _list_visible(visible: str) -> list[str]:
    """Return the entries up to the first invalid one, as CUDA does."""
    entries: list[str] = []
    for entry in (part.strip() for part in visible.split(",")):
        if not (entry.isdecimal() or entry.startswith(("GPU-", "MIG-"))):
            break
        entries.append(entry)
    return entries


def _find_by_uuid(nvml: Any, wanted: str) -> int:
    """Return NVML's index of a UUID; CUDA accepts any prefix that fits one GPU only."""
    count = nvml.nvmlDeviceGetCount()
    uuids = [nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
    fits = [index for index, uuid in enumerate(uuids) if uuid.startswith(wanted)]
    if len(fits) != 1:
        raise MeterUnavailable(f"{wanted} in CUDA_VISIBLE_DEVICES fits {len(fits)} GPUs of this host.")
    return fits[0]


def _refuse_unknown_order(nvml: Any, environ: Mapping[str, str]) -> None:
    """Refuse to guess: NVML counts GPUs by PCI bus, CUDA by speed unless told otherwise."""
    if environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return
    count = nvml.nvmlDeviceGetCount()
    names = {nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)}
    if len(names) > 1:
        raise MeterUnavailable(
            "This host has unlike GPUs, which CUDA and NVML number differently. "
            "Set CUDA_DEVICE_ORDER=PCI_BUS_ID."
        )


def _refuse_mig(nvml: Any, handle: Any, name: str) -> None:
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # not supported: a board without MIG
        return
    if current:
        raise MeterUnavailable(f"{name} is split by MIG; NVML counts energy for the whole board only.")
