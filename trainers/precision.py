"""In which precision a device computes. Weights are fp32 in any case."""

from __future__ import annotations

import contextlib

import torch

from errors import TrainingFailed

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16")


def resolve_precision(wanted: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16; ``auto`` is the fastest of a GPU, and fp32 on a CPU.

    Raises TrainingFailed when the device has no such arithmetic: emulated, it is far slower than fp32.
    """
    if wanted == "auto":
        return _fastest(device)
    if wanted == "fp16" and device.type != "cuda":
        raise TrainingFailed("precision fp16 is for GPUs. Use fp32, or bf16 where the CPU has it.")
    if wanted == "bf16" and not _has_bf16(device):
        raise TrainingFailed(f"precision bf16 is not built into this {device.type}. Use fp32 or auto.")
    return wanted


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return a context for forward passes. It can be entered again and again: making one asks the device."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])


def _fastest(device: torch.device) -> str:
    if device.type != "cuda":
        return "fp32"
    return "bf16" if _has_bf16(device) else "fp16"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _CPU_CAPABILITIES)
