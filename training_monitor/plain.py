"""What users have as parameters, as JSON."""

from __future__ import annotations

import dataclasses
import math
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Final

# The server refuses deeper ones; this only ends what contains itself.
_MOST_DEPTH: Final = 32


def to_json(value: Any, depth: int = 0) -> Any:
    """Return nested mappings, sequences, dataclasses and Namespaces as JSON; anything else as its text."""
    if depth > _MOST_DEPTH:
        return "…"
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Namespace):
        value = vars(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(found, depth + 1) for key, found in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(found, depth + 1) for found in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return to_json(value.item(), depth + 1)  # a scalar of NumPy or of torch
    return str(value)
