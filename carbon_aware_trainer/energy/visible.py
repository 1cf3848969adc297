"""Which GPU of the machine is the one that CUDA calls ``cuda:N`` in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carbon_aware_trainer.errors import MeterUnavailable

_VIRTUAL_GPU = 2  # Source: nvml.h, NVML_GPU_VIRTUALIZATION_MODE_VGPU: this system sees a vGPU of a hypervisor


def find_visible(nvml: Any, index: int, environ: Mapping[str, str]) -> Any:
    """Return NVML's handle of what CUDA calls ``index``, which is not NVML's index.

    environ: where CUDA_VISIBLE_DEVICES is looked up.
    Raises MeterUnavailable when it is not visible, or has no energy of its own: a MIG slice, a vGPU.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        wanted = str(index)
    else:
        entries = list_visible(visible)
        if index >= len(entries):
            raise MeterUnavailable(f"cuda:{index} is not visible: CUDA_VISIBLE_DEVICES is {visible!r}.")
        wanted = entries[index]
    if wanted.startswith("MIG-"):
        raise MeterUnavailable(f"{wanted} is a MIG slice; NVML counts energy for the whole board only.")
    if wanted.startswith("GPU-"):
        handle = _find_by_uuid(nvml, wanted)
    else:
        _refuse_unknown_order(nvml, environ)
        handle = nvml.nvmlDeviceGetHandleByIndex(int(wanted))
    _refuse_parts(nvml, handle)
    return handle


def list_visible(visible: str) -> list[str]:
    """Return the entries up to the first invalid one, as CUDA does."""
    entries: list[str] = []
    for entry in (part.strip() for part in visible.split(",")):
        if not (entry.isdecimal() or entry.startswith(("GPU-", "MIG-"))):
            break
        entries.append(entry)
    return entries


def _find_by_uuid(nvml: Any, wanted: str) -> Any:
    """Return the handle of a UUID; CUDA accepts any prefix that fits one GPU only."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    fits = [handle for handle in handles if nvml.nvmlDeviceGetUUID(handle).startswith(wanted)]
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


def _refuse_parts(nvml: Any, handle: Any) -> None:
    """Refuse a board that others use through slices of their own: its counter is not this one's."""
    name = nvml.nvmlDeviceGetName(handle)
    if _ask(nvml, nvml.nvmlDeviceGetMigMode, handle, [0])[0]:
        raise MeterUnavailable(f"{name} is split by MIG; NVML counts energy for the whole board only.")
    if _ask(nvml, nvml.nvmlDeviceGetVirtualizationMode, handle, 0) == _VIRTUAL_GPU:
        raise MeterUnavailable(f"{name} is a vGPU, a part of a board; NVML knows no energy of a part.")


def _ask(nvml: Any, question: Any, handle: Any, otherwise: Any) -> Any:
    try:
        return question(handle)
    except nvml.NVMLError:  # not supported: a board without it
        return otherwise
