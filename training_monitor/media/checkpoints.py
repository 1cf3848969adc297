"""A state as a safetensors file, written tensor by tensor: never is all of it in memory a second time.

Source: https://github.com/huggingface/safetensors, "Format". Nothing is pickled: whoever opens the file runs
no code of whoever wrote it.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from training_monitor.errors import MonitorError
from training_monitor.media.arrays import load_numpy

_DTYPES: Final = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_ALIGNMENT: Final = 8
# More than the server reads.
_MOST_HEADER_BYTES: Final = 16 << 20
_MOST_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of any library, and how the file calls its type."""

    value: Any
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of its values."""
        bits = 8 if self.dtype == "BOOL" else int("".join(filter(str.isdigit, self.dtype.split("_")[0])))
        return math.prod(self.shape) * bits // 8


@dataclass(frozen=True, slots=True)
class State:
    """What a state holds: tensors, and by their paths what is JSON."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The bytes of all values."""
        return sum(tensor.size_bytes for tensor in self.tensors.values())


def read_state(state: Any) -> State:
    """Return the tensors of a state with dots between the keys of nested mappings and lists.

    state: mappings and lists, or an object with ``state_dict()`` or ``get_weights()``. Of a list without
    tensors, and of anything else that JSON can hold, the value is kept beside them.
    Raises MonitorError, with its path, for what is neither.
    """
    for method in ("state_dict", "get_weights"):
        if callable(getattr(state, method, None)):
            state = getattr(state, method)()
            break
    found = State()
    for path, value in _leaves(state, "", 0):
        if path in found.tensors or path in found.others:
            raise MonitorError(f"Two values of this state would be called {path!r}.")
        if _is_tensor(value):
            found.tensors[path] = _describe(path, value)
        else:
            found.others[path] = value
    if not found.tensors:
        raise MonitorError("There is no tensor in this state.")
    return found


def write(state: State, metadata: Mapping[str, str], stream: BinaryIO) -> None:
    """Write a safetensors file. metadata: "format", and what else is text. Raises OSError, MonitorError."""
    if state.others:
        metadata = {**metadata, "state": _to_json(state.others)}
    # The widest types first, so that each begins at a multiple of its own size.
    ordered = sorted(state.tensors.items(), key=lambda item: -_width(item[1]))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, tensor in ordered:
        end = start + tensor.size_bytes
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > _MOST_HEADER_BYTES:
        raise MonitorError("What is no tensor in this state is too much for a checkpoint.")
    stream.write(struct.pack("<Q", len(text)) + text)
    for name, tensor in ordered:
        data = _bytes_of(name, tensor)
        if data.nbytes != tensor.size_bytes:
            raise MonitorError(f"The tensor {name!r} changed its size while it was written.")
        stream.write(data)


def _width(tensor: Tensor) -> int:
    return tensor.size_bytes // max(1, math.prod(tensor.shape))


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MOST_DEPTH:
        raise MonitorError(f"The state is nested too deeply at {path!r}.")
    if isinstance(value, Mapping):
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list | tuple) and _has_tensor(value, depth):
        items = list(enumerate(value))
    else:
        yield path, value if _is_tensor(value) else _plain(value, path, depth)
        return
    for key, found in items:
        if not isinstance(key, str | int) or key in ("", "__metadata__"):
            raise MonitorError(f"A key of the state has to be text or an integer, not {key!r} in {path!r}.")
        yield from _leaves(found, f"{path}.{key}" if path else str(key), depth + 1)


def _has_tensor(value: Any, depth: int) -> bool:
    if depth > _MOST_DEPTH:
        return False
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(_has_tensor(each, depth + 1) for each in value)
    return _is_tensor(value)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _plain(value: Any, path: str, depth: int) -> Any:
    """Return what JSON can hold."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth > _MOST_DEPTH:
        raise MonitorError(f"The state is nested too deeply at {path!r}.")
    if isinstance(value, list | tuple):
        return [_plain(each, f"{path}.{number}", depth + 1) for number, each in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(each, f"{path}.{key}", depth + 1) for key, each in value.items()}
    raise MonitorError(
        f"{path or 'The state'} is a {type(value).__name__}: a checkpoint holds tensors and what JSON can "
        "hold, nothing is pickled. Leave it out, or log it with log_artifact."
    )


def _to_json(others: Mapping[str, Any]) -> str:
    return json.dumps(others, separators=(",", ":"))


def _describe(path: str, value: Any) -> Tensor:
    if type(value).__name__ == "DTensor":
        raise MonitorError(f"{path} is a part of a tensor on each process; gather the state first.")
    name = getattr(value.dtype, "name", None) or str(value.dtype)
    dtype = _DTYPES.get(str(name).removeprefix("torch."))
    if dtype is None:
        raise MonitorError(f"{path} is of {value.dtype}, which a safetensors file cannot hold.")
    if hasattr(value, "layout") and str(value.layout) != "torch.strided":
        raise MonitorError(f"{path} is {value.layout}; make it dense first.")
    if getattr(value, "is_meta", False):
        raise MonitorError(f"{path} has a shape only, no values.")
    return Tensor(value, dtype, tuple(int(size) for size in value.shape))


def _bytes_of(name: str, tensor: Tensor) -> memoryview:
    numpy = load_numpy()
    value = tensor.value
    try:
        if hasattr(value, "detach"):
            flat = value.detach().cpu().contiguous().reshape(-1)
            # As bytes: NumPy knows no bfloat16.
            array = flat.view(sys.modules["torch"].uint8).numpy(force=True)
        else:
            array = numpy.ascontiguousarray(value.numpy() if hasattr(value, "numpy") else value).reshape(-1)
            if array.dtype.byteorder == ">":
                array = array.astype(array.dtype.newbyteorder("<"))
            array = array.view(numpy.uint8)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MonitorError(f"The tensor {name!r} cannot be read: {error}") from error
    return memoryview(array)
