"""Nested state as one safetensors file: its tensors, and the rest as JSON in the header. No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.integrations.needed import missing

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file
except ModuleNotFoundError as err:
    raise missing(err) from err

VERSION = 1
_KEY = "wattle"


def save_state(path: Path, state: Mapping[str, Any]) -> Path:
    """Write a state, or nothing: a file that is there is replaced at once.

    It may hold tensors, numbers, texts, None, lists, tuples and dicts with keys of numbers or texts.
    Raises CarbonError for anything else, or a place that cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    header = json.dumps({"version": VERSION, "state": _take_apart(dict(state), tensors, "")})
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, half, metadata={_KEY: header})
        half.replace(path)
    except (OSError, SafetensorError) as err:
        raise CarbonError(f"{path} cannot be written: {err}. Choose another place.") from err
    finally:
        if half.exists():
            half.unlink()
    return path


def load_state(path: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Read what save_state wrote. Raises CarbonError for anything else, or another version's."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
    except (OSError, SafetensorError, KeyError, ValueError) as err:
        raise CarbonError(f"{path} is no checkpoint that can be read here: {err}.") from err
    if header.get("version") != VERSION:
        raise CarbonError(f"{path} is of version {header.get('version')}, this program reads {VERSION}.")
    state: dict[str, Any] = _put_together(header["state"], tensors)
    return state


def _take_apart(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Return a value as JSON; its tensors go into ``tensors``, copied, since two names may share memory."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {
            "dict": [
                [_key(key, name), _take_apart(part, tensors, f"{name}/{key}")] for key, part in value.items()
            ]
        }
    if isinstance(value, list | tuple):
        parts = [_take_apart(part, tensors, f"{name}/{i}") for i, part in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    raise _refused(value, name)


def _key(key: object, name: str) -> int | str:
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise _refused(key, name)
    return key


def _refused(value: object, name: str) -> CarbonError:
    return CarbonError(
        f"{name.strip('/') or 'The state'} holds a {type(value).__name__}, which needs pickle. Leave it out."
    )


def _put_together(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _put_together(part, tensors) for key, part in content}
    parts = [_put_together(part, tensors) for part in content]
    return tuple(parts) if kind == "tuple" else parts
