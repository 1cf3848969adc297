"""A connection whose peer cannot hold a thread of the server for as long as it likes."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self


class DeadlineSocket(socket.socket):
    """A socket that waits for one request as a whole, not for each of its bytes.

    Both directions raise TimeoutError. It carries the number of a reset connection, so that the server closes
    without a traceback in its log.
    """

    _limit_s: float
    _deadline_s: float

    @classmethod
    def of(cls, connection: socket.socket, *, limit_s: float) -> Self:
        """Take a connection over, which is empty afterwards, for its first request."""
        taken = cls(fileno=connection.detach())
        taken._limit_s = limit_s
        taken.start_request()
        return taken

    def start_request(self) -> None:
        """Give the peer the whole limit again."""
        self._deadline_s = time.monotonic() + self._limit_s

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive like any socket. Raises TimeoutError once the request has taken too long."""
        with self._at_most(self._deadline_s - time.monotonic()):
            return super().recv(size, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send like any socket. Raises TimeoutError when the peer does not take a piece within the limit."""
        with self._at_most(self._limit_s):
            super().sendall(data, flags)

    @contextmanager
    def _at_most(self, limit_s: float) -> Iterator[None]:
        """Wait no longer than that in the block, nor than the socket's own timeout."""
        own_s = self.gettimeout()
        try:
            if limit_s <= 0:
                raise TimeoutError
            self.settimeout(limit_s if own_s is None else min(limit_s, own_s))
            yield
        except TimeoutError as error:
            raise TimeoutError(errno.ECONNRESET, "the peer was too slow") from error
        finally:
            self.settimeout(own_s)
