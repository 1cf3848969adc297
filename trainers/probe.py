"""What a machine can train with, also where torch is not installed."""

from __future__ import annotations

import importlib.util

from errors import FieldError, InvalidInput


def probe(wanted: str) -> dict[str, str | None]:
    """Return the device that ``wanted`` means here and the version of torch; None where there is no torch.

    Raises InvalidInput when that device does not exist.
    """
    if importlib.util.find_spec("torch"):
        import torch

        from trainers.device import resolve_device

        return {"device": resolve_device(wanted), "torch": torch.__version__}
    if wanted in ("auto", "cpu"):
        return {"device": "cpu", "torch": None}
    message = f"--device {wanted}: torch is not installed here. Install it, or use auto or cpu."
    raise InvalidInput(message, details=[FieldError("device", message)])
