"""Bodies of requests, made in small pieces: a piece holds the interpreter, and the training loop wants it."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from training_monitor.points import Column

POINTS_AT_ONCE: Final = 50_000
_NUMBERS_AT_ONCE: Final = 1_000
_TEXT_HEAD = struct.Struct("<I")

Pieces = dict[str, Column]


def split(columns: Mapping[str, Column], most: int = POINTS_AT_ONCE) -> Iterator[Pieces]:
    """Yield the points in parts of at most ``most``; the same points always make the same parts."""
    part: Pieces = {}
    room = most
    for column in columns.values():
        start = 0
        while start < len(column.steps):
            taken = slice(start, start + room)
            piece = Column(column.name, column.steps[taken], column.values[taken], column.times[taken])
            if len(piece.steps) == len(column.steps):
                piece = column  # its lists may be shared with others, which are then encoded once
            part[column.name] = piece
            start += len(piece.steps)
            room -= len(piece.steps)
            if not room:
                yield part
                part, room = {}, most
    if part:
        yield part


def encode_points(session: str, seq: int, columns: Mapping[str, Column]) -> bytes:
    """Return the body of POST /api/metrics/<id>; NaN and infinities are strings there."""
    known: dict[int, str] = {}

    def text_of(numbers: Sequence[float]) -> str:
        # Lists that live through this call, so no two have one id.
        if id(numbers) not in known:
            known[id(numbers)] = _encode_numbers(numbers)
        return known[id(numbers)]

    points = ",".join(
        f'{json.dumps(column.name)}:{{"steps":{text_of(column.steps)},"values":{text_of(column.values)},'
        f'"times":{text_of(column.times)}}}'
        for column in columns.values()
    )
    return f'{{"session":"{session}","seq":{seq},"points":{{{points}}}}}'.encode()


def _encode_numbers(numbers: Sequence[float]) -> str:
    pieces = []
    for start in range(0, len(numbers), _NUMBERS_AT_ONCE):
        text = json.dumps(numbers[start : start + _NUMBERS_AT_ONCE], separators=(",", ":"))[1:-1]
        if "N" in text or "I" in text:
            text = text.replace("NaN", '"NaN"').replace("Infinity", '"Infinity"')
            text = text.replace('-"Infinity"', '"-Infinity"')
        pieces.append(text)
        if start:
            time.sleep(0)  # lets the loop go on
    return f"[{','.join(pieces)}]"


def pack_text(message: Mapping[str, Any]) -> bytes:
    """Encode a line or an act for its journal."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return _TEXT_HEAD.pack(len(text)) + text


def unpack_texts(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield what ``pack_text`` encoded."""
    for data in chunks:
        offset = 0
        while offset + _TEXT_HEAD.size <= len(data):
            (length,) = _TEXT_HEAD.unpack_from(data, offset)
            offset += _TEXT_HEAD.size
            yield json.loads(data[offset : offset + length])
            offset += length
