"""Whether a file is safetensors, from its header alone. No torch, and no tensor is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NamedTuple, TypeGuard

from pydantic_core import from_json

from errors import InvalidInput

MAX_TENSORS: Final = 100_000
# That many tensors take about 10 MB; parsed, they take several times as much memory.
MAX_HEADER_BYTES: Final = 16 << 20
_LENGTH_BYTES: Final = 8
_BITS: Final = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}

_FIELDS: Final = {"dtype", "shape", "data_offsets"}
_MOST_DIMENSIONS: Final = 64
_MOST_BYTES: Final = 2**53
_METADATA: Final = "__metadata__"


class _Tensor(NamedTuple):
    """Where one entry of a header says that its tensor lies, and how many bits it has."""

    first: int
    last: int
    bits: int


def check_safetensors(stream: BinaryIO, size_bytes: int, count: Callable[[bytes], None]) -> None:
    """Raise InvalidInput unless the file is safetensors whose header describes all of it.

    Source: the format's specification, github.com/huggingface/safetensors, "Format". ``count`` sees the
    header before it is parsed, and raises InvalidInput where it holds too much.
    """
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if size_bytes < _LENGTH_BYTES or length > size_bytes - _LENGTH_BYTES:
        raise _refuse("it is shorter than its header")
    if length > MAX_HEADER_BYTES:
        raise _refuse(f"its header has more than {MAX_HEADER_BYTES >> 20} MiB")
    header = stream.read(length)
    if not header.startswith(b"{"):
        raise _refuse("its header is no JSON object")
    count(header)
    try:
        entries: dict[str, Any] = from_json(header)
    except ValueError as error:
        raise _refuse("its header is no JSON") from error
    _check_tensors(entries, size_bytes - _LENGTH_BYTES - length)


def _check_tensors(entries: dict[str, Any], data_bytes: int) -> None:
    """Raise InvalidInput unless the tensors lie one behind the other and fill the data."""
    if not _is_metadata(entries.pop(_METADATA, {})):
        raise _refuse("the metadata of its header are no texts by name")
    end = 0
    for tensor in sorted(_read_tensor(name, entry) for name, entry in entries.items()):
        if tensor.first != end or 8 * (tensor.last - tensor.first) != tensor.bits:
            raise _refuse("the places of its tensors are not those that their shapes need")
        end = tensor.last
    if end != data_bytes:
        raise _refuse(f"its tensors have {end} bytes, but {data_bytes} follow the header")


def _read_tensor(name: str, entry: object) -> _Tensor:
    """Read one entry by hand: pydantic would list everything that is wrong with it, at length."""
    if not (isinstance(entry, dict) and entry.keys() == _FIELDS):
        raise _refuse(f"{name[:80]!r} of its header is no tensor")
    dtype, shape, places = entry["dtype"], entry["shape"], entry["data_offsets"]
    bits = _BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None:
        shown = repr(dtype[:20]) if isinstance(dtype, str) else "that is no text"
        raise _refuse(f"{name[:80]!r} has the unknown type {shown}")
    if not (_are_sizes(shape, _MOST_DIMENSIONS) and _are_sizes(places, 2) and len(places) == 2):
        raise _refuse(f"{name[:80]!r} has no shape and no place of whole numbers")
    return _Tensor(places[0], places[1], bits * math.prod(shape))


def _are_sizes(value: object, most: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(size) is int and 0 <= size <= _MOST_BYTES for size in value)
    )


def _is_metadata(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _refuse(reason: str) -> InvalidInput:
    return InvalidInput(
        f"This is no safetensors file: {reason}. Checkpoints and models are taken as safetensors alone; send "
        "anything else as kind=file."
    )
