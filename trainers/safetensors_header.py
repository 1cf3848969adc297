"""Whether a file is safetensors, from its header alone. No torch, and no tensor is read."""

from __future__ import annotations

import math
from typing import Annotated, BinaryIO, Final

from pydantic import Field, TypeAdapter, ValidationError

from errors import InvalidInput
from schema import Record

# A header of 100,000 tensors has about 10 MB; parsed, it takes several times as much memory.
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

_Size = Annotated[int, Field(ge=0, le=2**53, strict=True)]


class _Tensor(Record):
    """One entry of a header."""

    dtype: str
    shape: Annotated[list[_Size], Field(max_length=64)]
    data_offsets: tuple[_Size, _Size]


_HEADER: Final = TypeAdapter(dict[str, _Tensor | dict[str, str]])
_METADATA: Final = "__metadata__"


def check_safetensors(stream: BinaryIO, size_bytes: int) -> None:
    """Raise InvalidInput unless the file is safetensors whose header describes all of it.

    Source: the format's specification, github.com/huggingface/safetensors, "Format".
    """
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if size_bytes < _LENGTH_BYTES or length > size_bytes - _LENGTH_BYTES:
        raise _refuse("it is shorter than its header")
    if length > MAX_HEADER_BYTES:
        raise _refuse(f"its header has more than {MAX_HEADER_BYTES >> 20} MiB")
    header = stream.read(length)
    if not header.startswith(b"{"):
        raise _refuse("its header is no JSON object")
    try:
        entries = _HEADER.validate_json(header)
    except ValidationError as error:
        first = error.errors()[0]
        raise _refuse(f"its header is not valid: {first['msg']}") from error
    _check_tensors(entries, size_bytes - _LENGTH_BYTES - length)


def _check_tensors(entries: dict[str, _Tensor | dict[str, str]], data_bytes: int) -> None:
    """Raise InvalidInput unless the tensors lie one behind the other and fill the data."""
    tensors: list[_Tensor] = []
    for name, entry in entries.items():
        if isinstance(entry, _Tensor) == (name == _METADATA):
            raise _refuse(f"{name[:80]!r} of its header is no tensor, or metadata that is one")
        if isinstance(entry, _Tensor):
            tensors.append(entry)
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.data_offsets):
        first, last = tensor.data_offsets
        bits = _BITS.get(tensor.dtype)
        if bits is None:
            raise _refuse(f"a tensor has the unknown type {tensor.dtype[:20]!r}")
        if first != end or 8 * (last - first) != bits * math.prod(tensor.shape):
            raise _refuse("the places of its tensors are not those that their shapes need")
        end = last
    if end != data_bytes:
        raise _refuse(f"its tensors have {end} bytes, but {data_bytes} follow the header")


def _refuse(reason: str) -> InvalidInput:
    return InvalidInput(
        f"This is no safetensors file: {reason}. Checkpoints and models are taken as safetensors alone; send "
        "anything else as kind=file."
    )
