"""Which device a worker trains on, and with how many threads."""

from __future__ import annotations

import os
import re

import torch

from errors import FieldError, InvalidInput, TrainingFailed
from schema import Scalar


def resolve_device(wanted: str) -> str:
    """Return the torch device that ``wanted`` means here: ``auto`` is the first GPU, else the CPU.

    Raises InvalidInput when that device does not exist.
    """
    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return wanted
    number = re.fullmatch(r"cuda:(\d+)", wanted)
    if number is None:
        raise _no_device(f"--device {wanted!r} is not a device. Use auto, cpu or cuda:N.")
    gpus = torch.cuda.device_count()
    if int(number[1]) >= gpus:
        raise _no_device(
            f"--device {wanted}: torch {torch.__version__} sees {gpus} GPUs here. Use auto or cpu."
        )
    return wanted


def describe_gpus(device: str) -> dict[str, Scalar]:
    """Return the number of GPUs from ``device`` on, the memory of the smallest, and the name of the first."""
    if not device.startswith("cuda"):
        return {"gpus": 0, "gpu_memory_gib": None, "gpu_name": None}
    indices = range(int(device.partition(":")[2] or 0), torch.cuda.device_count())
    known = [torch.cuda.get_device_properties(index) for index in indices]
    smallest_gib = min(gpu.total_memory for gpu in known) / 2**30
    return {"gpus": len(known), "gpu_memory_gib": round(smallest_gib, 2), "gpu_name": known[0].name}


def count_local_ranks() -> int:
    """Return how many processes train one network on this machine, which share its cores and memory."""
    # Source: torchrun's environment.
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def set_threads(threads: int) -> None:
    """Compute with ``threads`` threads; the number changes the bits of the result."""
    torch.set_num_threads(threads)


def prepare_device(device: str, *, is_deterministic: bool, is_compiled: bool) -> None:
    """Choose how this process computes on ``device``; on a CPU every choice gives the same bits anyway.

    Raises TrainingFailed when a network is to be compiled for a CPU.
    """
    if not device.startswith("cuda"):
        if is_compiled:
            raise TrainingFailed(
                "compile is for GPUs: on a CPU it takes a minute and gains nothing. Set it to off."
            )
        return
    torch.backends.cudnn.benchmark = not is_deterministic
    if is_deterministic:
        # Read when cuBLAS starts. Source: https://docs.nvidia.com/cuda/cublas (Results reproducibility).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Pooling in windows that do not overlap is deterministic, but torch cannot tell and would refuse it.
        torch.use_deterministic_algorithms(True, warn_only=True)


def _no_device(message: str) -> InvalidInput:
    return InvalidInput(message, details=[FieldError("device", message)])
