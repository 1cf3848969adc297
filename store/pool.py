"""A pool of connections that costs little, where the driver's own is half of a short call."""

from __future__ import annotations

import select
import time
from typing import Any, Final

import redis

# A connection that rested longer is looked at by the driver, which takes several system calls.
FRESH_S: Final = 1.0


class QuickPool(redis.ConnectionPool):
    """Hands out a connection that was used a moment ago, if it is open; else it is like the driver's pool.

    Threads may share it: a list's ``pop`` and ``append``, and a copy, are atomic.
    """

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return a connection that nobody else uses, connected or about to be."""
        self._checkpid()  # after a fork, the sockets are the parent's
        try:
            connection = self._available_connections.pop()
        except IndexError:
            return super().get_connection()
        rested_s = time.monotonic() - getattr(connection, "released_s", 0.0)
        if rested_s > FRESH_S or _has_news(connection._get_socket()):
            self._available_connections.append(connection)
            return super().get_connection()
        self._in_use_connections.add(connection)
        return connection

    def release(self, connection: Any) -> None:
        """Take a connection back."""
        if connection.should_reconnect() or not self.owns_connection(connection):
            super().release(connection)
            return
        connection.released_s = time.monotonic()
        self._in_use_connections.discard(connection)
        self._available_connections.append(connection)

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the sockets of all connections; other threads may go on taking and releasing meanwhile."""
        self._checkpid()
        # Copies, which are atomic too: the driver's pool goes through the changing set itself.
        used = self._in_use_connections.copy() if inuse_connections else ()
        for connection in (*self._available_connections.copy(), *used):
            connection.disconnect()


def _has_news(socket: Any) -> bool:
    """Whether a resting connection cannot be used as it is: it was closed, or has what nobody asked for."""
    if socket is None:
        return True
    news = select.poll()
    news.register(socket, select.POLLIN)
    return bool(news.poll(0))


def quicken(client: redis.Redis) -> redis.Redis:
    """Return a client of the same server with a QuickPool; the given one is used no further."""
    pool = client.connection_pool
    quick = QuickPool(connection_class=pool.connection_class, **pool.connection_kwargs)
    return redis.Redis.from_pool(quick)
