"""What is sent as an image, a graph or weights is one: read from its header, within limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO, Final

from PIL import Image
from pydantic import ValidationError
from pydantic_core import from_json

from api.artifacts.images import BROKEN, JPEG, MOST_SCANS, SCAN, read_size
from api.shapes import GRAPH, WEIGHTS, check_shape
from errors import FieldError, InvalidInput
from schema import ArtifactQuery
from schema.artifacts import Graph
from trainers.artifact_files import Written
from trainers.safetensors_header import check_safetensors

MAX_SIDE: Final = 4_096
MAX_IMAGE_BYTES: Final = 32 << 20
MAX_GRAPH_BYTES: Final = 4 << 20

Check = Callable[[BinaryIO, Written], None]

# A picture of the largest size takes 64 MiB while it is decoded, a header of weights as much: one at a time.
_decoding: Final = threading.Lock()


def check_of(query: ArtifactQuery) -> Check:
    """Return what looks at a file before it is kept; it raises InvalidInput with the reason."""

    def check(stream: BinaryIO, written: Written) -> None:
        if query.sha256 not in (None, written.sha256):
            raise _refuse(
                "sha256",
                f"is {query.sha256}, but the bytes that arrived have {written.sha256}: send them again",
            )
        if query.kind == "image":
            _check_image(stream, written.size_bytes)
        elif query.kind == "graph":
            _check_graph(stream, written.size_bytes)
        elif query.kind in ("checkpoint", "model"):
            with _decoding:
                check_safetensors(stream, written.size_bytes, lambda header: check_shape(header, WEIGHTS))

    return check


def type_of_image(start: bytes) -> str:
    """Return the content type of an image from its first bytes, which were checked."""
    return "image/jpeg" if start.startswith(JPEG) else "image/png"


def _check_image(stream: BinaryIO, size_bytes: int) -> None:
    if size_bytes > MAX_IMAGE_BYTES:
        raise _refuse("body", f"has more than {MAX_IMAGE_BYTES >> 20} MiB, the most an image may have")
    with _decoding:
        content = stream.read()
        size = read_size(content)
        if size is None:
            raise _refuse("body", "is neither a PNG nor a JPEG")
        if not (1 <= size[0] <= MAX_SIDE and 1 <= size[1] <= MAX_SIDE):
            raise _refuse(
                "body", f"has {size[0]} x {size[1]} pixels; at most {MAX_SIDE} x {MAX_SIDE} are taken"
            )
        if content.startswith(JPEG) and content.count(SCAN) > MOST_SCANS:
            raise _refuse("body", f"is a JPEG of more than {MOST_SCANS} scans")
        try:
            with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as image:
                if max(image.size) > MAX_SIDE:
                    raise ValueError("its headers contradict each other")
                image.verify()
            with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as image:
                image.load()
        except BROKEN as error:
            raise _refuse("body", "is damaged and cannot be decoded") from error


def _check_graph(stream: BinaryIO, size_bytes: int) -> None:
    if size_bytes > MAX_GRAPH_BYTES:
        raise _refuse("body", f"has more than {MAX_GRAPH_BYTES >> 20} MiB, the most a graph may have")
    with _decoding:
        content = stream.read()
        check_shape(content, GRAPH)
        try:
            parsed = from_json(content, allow_inf_nan=False)
        except ValueError as error:
            raise _refuse("body", "is no graph: it is no JSON") from error
        try:
            Graph.model_validate(parsed)
        except ValidationError as error:
            # Few: lists end at the first one, and what has too many fields is not looked through.
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise _refuse(
                "body", f"is no graph: {place}: {first['msg'].removeprefix('Value error, ')}"
            ) from error


def _refuse(field: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"The artifact was refused: its {field} {reason}.", details=[FieldError(field, reason)]
    )
