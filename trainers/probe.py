"""What a machine can train with, also where torch is not installed."""

from __future__ import annotations

import importlib.util

from errors import FieldError, InvalidInput
from schema import Scalar


def probe(wanted: str) -> dict[str, Scalar]:
    """Return the device that ``wanted`` means here, the GPUs from it on, and the version of torch.

    torch is None where there is none. Raises InvalidInput when that device does not exist.
    """
    if importlib.util.find_spec("torch"):
        import torch

        from trainers.device import describe_gpus, resolve_device

        device = resolve_device(wanted)
        return {"device": device, "torch": torch.__version__, **describe_gpus(device)}
    if wanted in ("auto", "cpu"):
        return {"device": "cpu", "torch": None}
    message = f"--device {wanted}: torch is not installed here. Install it, or use auto or cpu."
    raise InvalidInput(message, details=[FieldError("device", message)])
