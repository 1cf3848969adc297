"""Files of the API that are passed on as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, Self

import httpx

from client.connection import Connection
from errors import ApiUnavailable

# What a browser says of the part it wants, and what it is told of the part it gets.
ASKED: Final = ("range", "if-range")
_TOLD: Final = ("accept-ranges", "content-length", "content-range", "content-type", "etag", "last-modified")


class SentFile:
    """A file on its way. Whoever opened it closes it; until then the API holds a place for it."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = {name: response.headers[name] for name in _TOLD if name in response.headers}

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes. Raises ApiUnavailable when they end too soon."""
        try:
            yield from self._response.iter_raw()
        except httpx.HTTPError as error:
            raise ApiUnavailable(f"A file ended before it was whole: {error}") from error

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FileCalls(Connection):
    """Files of any kind, by the path of their download."""

    def open_file(self, path: str, headers: Mapping[str, str] | None = None) -> SentFile:
        """Ask for a file, or for the part of it that ``headers`` name, and read none of it yet."""
        # As it is: what is packed has no length, and a part of it means nothing.
        sent = {**(headers or {}), "Accept-Encoding": "identity"}
        return SentFile(self._open(path, sent, expected=(200, 206, 416)))
