"""A training's state as safetensors and JSON: exact to the bit, and nothing in it can run code.

Tensors go into one safetensors file under numbered names; everything else goes into JSON, floats as
hexadecimal text. A leaf of JSON that stands for something else is an object whose key starts with ``$``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from errors import CheckpointInvalid

# Values of a state: tensors, numbers, text, None, and lists, tuples and mappings of them.
State = Any


def encode_state(state: State) -> tuple[bytes, JsonValue]:
    """Return the state as safetensors and as JSON. Raises TypeError on a value that is neither of both."""
    tensors: dict[str, Tensor] = {}
    document: JsonValue = _encode(state, tensors)
    return save(tensors), document


def decode_state(tensors: bytes, document: JsonValue) -> State:
    """Read a state back; tensors lie on the CPU. Raises CheckpointInvalid when the two are not a state."""
    try:
        return _decode(document, load(tensors))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointInvalid(f"The checkpoint cannot be read: {error}") from error


def _encode(value: State, tensors: dict[str, Tensor]) -> State:
    match value:
        case Tensor():
            name = str(len(tensors))
            # clone: safetensors refuses two tensors that share memory, as tied weights do.
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"$tensor": name, "channels_last": _is_channels_last(value)}
        case bool() | int() | str() | None:
            return value
        case float():
            return {"$float": value.hex() if math.isfinite(value) else str(value)}
        case tuple():
            return {"$tuple": [_encode(item, tensors) for item in value]}
        case list():
            return [_encode(item, tensors) for item in value]
        case Mapping():
            # Pairs, because an optimizer's state has integers for keys and JSON has only text.
            return {
                "$pairs": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]
            }
    raise TypeError(f"A {type(value).__name__} cannot be part of a checkpoint.")


def _decode(value: State, tensors: Mapping[str, Tensor]) -> State:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$tensor": name, "channels_last": bool(is_channels_last)}:
            layout = torch.channels_last if is_channels_last else torch.contiguous_format
            return tensors[name].contiguous(memory_format=layout)
        case {"$float": text}:
            return float(text) if text in ("inf", "-inf", "nan") else float.fromhex(text)
        case {"$tuple": items}:
            return tuple(_decode(item, tensors) for item in items)
        case {"$pairs": pairs}:
            return {_decode(key, tensors): _decode(item, tensors) for key, item in pairs}
    raise ValueError(f"unknown entry {str(value)[:80]}")


def _is_channels_last(tensor: Tensor) -> bool:
    is_plain = tensor.is_contiguous()
    return not is_plain and tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
