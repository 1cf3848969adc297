"""Files that arrive as the body of a request: read piece by piece, with a deadline for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestTimeout

from api.deadline import DeadlineSocket
from errors import PlaceUnavailable, TooLarge

# Each holds a thread of the server, of which there are 64, for as long as its sender takes.
MOST_AT_ONCE: Final = 16
# Half of what a file without a record is kept for: nobody deletes it while it is still being written.
LIMIT_S: Final = 3_600.0
_PIECE_BYTES: Final = 1 << 20

_places: Final = threading.BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def upload_slot() -> Iterator[None]:
    """Hold one of the few places for uploads. Raises PlaceUnavailable when all are taken."""
    if not _places.acquire(blocking=False):
        raise PlaceUnavailable(
            f"{MOST_AT_ONCE} files are being uploaded already. Send this one again in a moment."
        )
    try:
        yield
    finally:
        _places.release()


def check_stated_size(most_bytes: int, setting: str) -> int:
    """Return how many bytes the body says it has, 0 where it does not say. Raises TooLarge."""
    stated = request.content_length or 0
    if stated > most_bytes:
        raise _too_large(most_bytes, setting)
    return stated


def read_pieces(most_bytes: int, setting: str) -> Iterator[bytes]:
    """Yield the body of the request. Raises TooLarge, and an HTTPException where it does not arrive whole.

    As long as bytes come, the sender has the whole time limit of a request for each piece, up to LIMIT_S.
    """
    # One more, so that we meet it first, and say which setting it is.
    request.max_content_length = most_bytes + 1
    connection = request.environ.get("gunicorn.socket")
    left, ends_at_s = most_bytes, time.monotonic() + LIMIT_S
    while piece := _read(_PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise _too_large(most_bytes, setting)
        if time.monotonic() > ends_at_s:
            raise RequestTimeout(f"The file took more than {LIMIT_S / 60:.0f} minutes to arrive.")
        yield piece
        if isinstance(connection, DeadlineSocket):
            connection.start_request()
    # gunicorn ends the body of a sender that went away without a word.
    if request.content_length not in (None, most_bytes - left):
        raise ClientDisconnected


def _read(size: int) -> bytes:
    """Read on. What fails here is the sender's doing, and no trouble of the place that is written to."""
    try:
        return request.stream.read(size)
    except HTTPException:
        raise
    except (OSError, ValueError) as error:
        raise ClientDisconnected from error


def _too_large(most_bytes: int, setting: str) -> TooLarge:
    return TooLarge(f"The file is larger than {most_bytes >> 20} MiB, the limit set by {setting}.")
