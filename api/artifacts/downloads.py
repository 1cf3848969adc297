"""Files that are sent to whoever asks: few at a time, since each holds a thread for as long as it is read."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import BinaryIO, Final, cast

from errors import PlaceUnavailable

# Of the 64 threads of the server; uploads have 16, so that some are left for whatever is quick.
MOST_AT_ONCE: Final = 24

_places: Final = threading.BoundedSemaphore(MOST_AT_ONCE)


def open_download(open_file: Callable[[], BinaryIO]) -> BinaryIO:
    """Open a file that holds one of the few places for downloads until it is closed.

    Raises PlaceUnavailable when all are taken, and whatever ``open_file`` raises.
    """
    if not _places.acquire(blocking=False):
        raise PlaceUnavailable(
            f"{MOST_AT_ONCE} files are being downloaded already. Ask for this one again in a moment."
        )
    try:
        return cast("BinaryIO", _Download(open_file()))
    except BaseException:
        _places.release()
        raise


class _Download(io.RawIOBase):
    """A file that gives its place back when it is closed, once.

    It has no number: gunicorn would send it past the deadline that a slow reader has for each piece.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        try:
            self._stream.close()
        finally:
            _places.release()
