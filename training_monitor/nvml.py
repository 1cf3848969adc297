"""GPUs through NVIDIA's own library, which every driver brings: no package is needed."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

_LIBRARY: Final = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_TEMPERATURE_OF_GPU: Final = 0
_MIB: Final = 1 << 20


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class Gpus:
    """All NVIDIA GPUs of this machine; none without a driver.

    Source: NVML API reference, nvmlDeviceGetUtilizationRates, …MemoryInfo, …Temperature, …PowerUsage.
    """

    def __init__(self, library: Any = None) -> None:
        """Open the library. library: one like it, for a machine without GPUs."""
        self._library = _load() if library is None else library
        self._handles: dict[int, ctypes.c_void_p] = {}
        count = ctypes.c_uint()
        if self._library is None or not self._is_done("nvmlDeviceGetCount_v2", ctypes.byref(count)):
            return
        for index in range(count.value):
            handle = ctypes.c_void_p()
            if self._is_done("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle)):
                self._handles[index] = handle

    def read(self) -> dict[str, float]:
        """Return utilisation, memory, temperature and power of each GPU; what one does not tell is absent."""
        found: dict[str, float] = {}
        for index, handle in self._handles.items():
            self._read(f"gpu{index}", handle, found)
        return found

    def _read(self, gpu: str, handle: ctypes.c_void_p, found: dict[str, float]) -> None:
        busy, memory = _Utilization(), _Memory()
        celsius, milliwatts = ctypes.c_uint(), ctypes.c_uint()
        if self._is_done("nvmlDeviceGetUtilizationRates", handle, ctypes.byref(busy)):
            found[f"{gpu}_percent"] = float(busy.gpu)
        if self._is_done("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory)):
            found[f"{gpu}_memory_mib"] = memory.used / _MIB
        kind = ctypes.c_int(_TEMPERATURE_OF_GPU)
        if self._is_done("nvmlDeviceGetTemperature", handle, kind, ctypes.byref(celsius)):
            found[f"{gpu}_temperature_c"] = float(celsius.value)
        if self._is_done("nvmlDeviceGetPowerUsage", handle, ctypes.byref(milliwatts)):
            found[f"{gpu}_power_w"] = milliwatts.value / 1e3

    def _is_done(self, function: str, *arguments: Any) -> bool:
        # A driver that is older than a function does not have it.
        call = getattr(self._library, function, None)
        return call is not None and bool(call(*arguments) == 0)


def _load() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    return library if library.nvmlInit_v2() == 0 else None
