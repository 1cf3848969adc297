"""Which runs are of one configuration: those whose hyper_params differ in nothing but their seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json

SEED: Final = "seed"
_MAX_CHARACTERS: Final = 250


def configuration_of(
    hyper_params: Mapping[str, Any],
    environment: Mapping[str, Any],
    *,
    simulated: bool,
    script: tuple[str | None, str] | None,
) -> int:
    """Return what is the same for runs that differ in their seed alone, on the same kind of device.

    script: name and project of a run that its own script reports, None for one of the queue. What scripts do
    not say of their runs may differ: only those of one name are taken for the same.
    """
    fixed = sorted((name, value) for name, value in hyper_params.items() if name != SEED)
    text = to_json((fixed, (device_of(environment), simulated, script)), inf_nan_mode="constants")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def device_of(environment: Mapping[str, Any]) -> str | None:
    """Return the name of the GPU, else the kind of device: which of equal GPUs it was is no matter."""
    device = text_of(environment.get("gpu_name")) or text_of(environment.get("device"))
    return device and device.partition(":")[0]


def text_of(value: object) -> str | None:
    """Return a text that can be shown, cut where it is very long; None for what is none, or empty."""
    return value[:_MAX_CHARACTERS] if isinstance(value, str) and value else None
