"""GPU energy from NVML, NVIDIA's management library."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from carbon_aware_trainer.energy.meter import COUNTER_ERROR, Clock, Meter, RisingCounter
from carbon_aware_trainer.energy.visible import find_visible, list_visible
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counters, GpuFacts, Source

STEP_S = 0.1  # Source: the counter and the power are renewed about every 100 ms (Volta and newer)
_MAX_GAP_S = 1.0  # between two reads of the power; over a longer one a straight line would be a guess


def find_uuid(index: int, *, nvml: Any = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the UUID of the GPU that CUDA calls ``cuda:<index>`` in this process.

    nvml: a module like pynvml, which is the default. environ: where CUDA_VISIBLE_DEVICES is looked up.
    Raises MeterUnavailable when there is no driver, no such GPU, or only a part of one.
    """
    nvml = _start(nvml)
    with _closing(nvml), _explaining(nvml, f"cuda:{index}"):
        return str(nvml.nvmlDeviceGetUUID(find_visible(nvml, index, environ)))


def list_visible_gpus(*, nvml: Any = None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES has to be for a program to see one GPU alone, for each that we see.

    nvml: as in ``find_uuid``. Raises MeterUnavailable when there is no driver.
    """
    if (visible := environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return list_visible(visible)
    nvml = _start(nvml)
    with _closing(nvml), _explaining(nvml, "this host's GPUs"):
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return [str(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]


def open_gpu(uuid: str, *, key: str, nvml: Any = None, clock: Clock = time.monotonic_ns) -> Meter:
    """Open the meter of a GPU: the energy counter (Volta and newer), else the power, integrated.

    Raises MeterUnavailable when there is no driver, no such GPU, or neither counter nor power.
    """
    nvml = _start(nvml)
    try:
        with _explaining(nvml, uuid):
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            name = f"{nvml.nvmlDeviceGetName(handle)}, {uuid}"
            return _open(nvml, handle, key, name, clock)
    except MeterUnavailable:
        nvml.nvmlShutdown()
        raise


class NvmlCounterMeter:
    """The board's own counter, mJ since driver load. Source: NVML, nvmlDeviceGetTotalEnergyConsumption."""

    def __init__(self, nvml: Any, handle: Any, key: str, name: str, *, clock: Clock) -> None:
        self._nvml, self._handle, self._key, self._clock = nvml, handle, key, clock
        text = f"NVML energy counter of {name}"
        self.sources = (Source(key, "measured", text, COUNTER_ERROR, STEP_S),)
        first = nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        self._counter = RisingCounter(text, first, joules_per_unit=1e-3)

    def read(self) -> Counters:
        """Read the counter; a GPU that does not answer loses the time until it does."""
        try:
            lost = self._counter.advance(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError as error:
            lost = self._counter.miss(f"The {self.sources[0].text} did not answer: {error}.")
        reasons = {self._key: lost} if lost else {}
        return Counters(self._clock(), {self._key: self._counter.joules}, reasons)

    def close(self) -> None:
        """Shut NVML down; it counts its users."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


class NvmlPowerMeter:
    """The board's power, integrated by the trapezoidal rule; it must be read at 10 Hz or faster."""

    def __init__(self, nvml: Any, handle: Any, key: str, name: str, *, clock: Clock) -> None:
        self._nvml, self._handle, self._key, self._clock = nvml, handle, key, clock
        self._text = f"NVML power of {name}, integrated"
        error = f"{COUNTER_ERROR}, and what changes between two reads"
        self.sources = (Source(key, "measured", self._text, error, STEP_S),)
        self._joules = 0.0
        self._last_w: float | None = nvml.nvmlDeviceGetPowerUsage(handle) / 1e3
        self._last_ns = clock()
        self._failure = ""

    def read(self) -> Counters:
        """Read the power and add what was used meanwhile; a gap of over 1 s is lost."""
        try:
            lost = self._advance(self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3)
        except self._nvml.NVMLError as error:
            self._last_w = None
            lost = self._failure = f"The {self._text} did not answer: {error}."
        reasons = {self._key: lost} if lost else {}
        return Counters(self._clock(), {self._key: self._joules}, reasons)

    def _advance(self, power_w: float) -> str | None:
        now_ns = self._clock()
        elapsed_s = (now_ns - self._last_ns) / 1e9
        last_w, self._last_w, self._last_ns = self._last_w, power_w, now_ns
        if last_w is None:
            return self._failure
        if elapsed_s > _MAX_GAP_S:
            return f"The GPU's power was not read for {elapsed_s:.1f} s; that interval is lost."
        self._joules += (power_w + last_w) / 2 * elapsed_s
        return None

    def close(self) -> None:
        """Shut NVML down; it counts its users."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


class GpuPanel:
    """The gauges of one GPU. Only read: no setting of a device is ever changed."""

    def __init__(self, uuid: str, *, nvml: Any = None) -> None:
        """Raises MeterUnavailable when there is no driver or no such GPU."""
        self._uuid = uuid
        self._nvml = _start(nvml)
        try:
            with _explaining(self._nvml, uuid):
                self._handle = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
                self._name = str(self._nvml.nvmlDeviceGetName(self._handle))
        except MeterUnavailable:
            self._nvml.nvmlShutdown()
            raise

    def read(self) -> GpuFacts:
        """Read all gauges; one that fails is None."""
        nvml = self._nvml
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates)
        power_mw, limit_mw = (
            self._ask(question)
            for question in (nvml.nvmlDeviceGetPowerUsage, nvml.nvmlDeviceGetEnforcedPowerLimit)
        )
        return GpuFacts(
            name=self._name,
            uuid=self._uuid,
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            utilisation=None if rates is None else rates.gpu / 100,
            power_w=None if power_mw is None else power_mw / 1e3,
            power_limit_w=None if limit_mw is None else limit_mw / 1e3,
            sm_clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            temperature_c=self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        )

    def close(self) -> None:
        """Shut NVML down; it counts its users."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return question(self._handle, *arguments)
        except self._nvml.NVMLError:  # this board has no such gauge, or does not answer now
            return None


def _open(nvml: Any, handle: Any, key: str, name: str, clock: Clock) -> Meter:
    try:
        return NvmlCounterMeter(nvml, handle, key, name, clock=clock)
    except nvml.NVMLError:  # boards before Volta
        return NvmlPowerMeter(nvml, handle, key, name, clock=clock)


def _start(nvml: Any) -> Any:
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError as error:
            raise MeterUnavailable("GPU energy needs NVML. Run: pip install nvidia-ml-py") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise MeterUnavailable(f"NVML does not start: {error}. Is the NVIDIA driver installed?") from error
    return nvml


@contextmanager
def _closing(nvml: Any) -> Iterator[None]:
    try:
        yield
    finally:
        nvml.nvmlShutdown()


@contextmanager
def _explaining(nvml: Any, gpu: str) -> Iterator[None]:
    try:
        yield
    except nvml.NVMLError as error:
        raise MeterUnavailable(f"The energy of {gpu} cannot be read: {error}.") from error
