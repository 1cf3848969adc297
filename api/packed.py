"""Bodies that were packed with gzip."""

from __future__ import annotations

import io
import zlib
from typing import Final

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

# For zlib: with the header and the checksum of gzip.
_GZIP: Final = 16 + zlib.MAX_WBITS


def unpack_body(limit: int) -> None:
    """Put the plain body in place of a packed one.

    Raises RequestEntityTooLarge where it has more than ``limit`` bytes, of which no more are ever unpacked,
    BadRequest where it is torn, and UnsupportedMediaType for another packing.
    """
    packing = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packing == "identity":
        return
    if packing != "gzip":
        raise UnsupportedMediaType("Send the body as it is, or packed with gzip.")
    # A chunked body is cut off at the limit without a word: then it is torn, or too large anyway.
    plain = gunzip(request.get_data(cache=False), limit)
    request.stream = io.BytesIO(plain)
    request.environ["CONTENT_LENGTH"] = str(len(plain))


def gunzip(packed: bytes, limit: int) -> bytes:
    """Unpack one gzip member. Raises as unpack_body does."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        plain = unpacking.decompress(packed, limit + 1)
    except zlib.error as error:
        raise BadRequest(f"The body is not gzip: {error}.") from error
    if len(plain) > limit:
        raise RequestEntityTooLarge
    if not unpacking.eof or unpacking.unused_data:
        raise BadRequest("The body is not one whole gzip member.")
    return plain
