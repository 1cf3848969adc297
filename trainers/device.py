"""Which device a worker trains on, and with how many threads."""

from __future__ import annotations

import re

import torch

from errors import FieldError, InvalidInput


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


def set_threads(threads: int) -> None:
    """Compute with ``threads`` threads; the number changes the bits of the result."""
    torch.set_num_threads(threads)


def _no_device(message: str) -> InvalidInput:
    return InvalidInput(message, details=[FieldError("device", message)])
