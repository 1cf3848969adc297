"""Answers of other people's services, kept for a while for all programs of this store."""

from __future__ import annotations

import math
import secrets

from store.connection import Connection
from store.keys import Keys


class Cache:
    """Bytes by key, and who may fetch them: many ask at once, and one of them asks the service.

    A key is any text without control characters, such as the digest of a request.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def get(self, key: str) -> bytes | None:
        """Return what is kept; None when there is nothing, or no more."""
        return read_bytes(self._connection, self._keys.of("answer", key))

    def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for ``ttl_s``, in place of what is there."""
        write_bytes(self._connection, self._keys.of("answer", key), value, ttl_s=ttl_s)

    def claim(self, key: str, *, ttl_s: float) -> str | None:
        """Return a token when nobody else is fetching the key; None while another does.

        Atomic. It ends by itself after ``ttl_s``, so that who died blocks nobody for longer.
        """
        token = secrets.token_hex(8)
        place = self._keys.of("fetching", key)
        reply: str | None = self._connection.call("SET", place, token, "NX", "PX", _milliseconds(ttl_s))
        return None if reply is None else token

    def release(self, key: str, token: str) -> None:
        """Let others fetch the key; nothing happens when the token holds it no more. (give_back.lua)"""
        self._connection.run("give_back", [self._keys.of("fetching", key)], [token])


def read_bytes(connection: Connection, place: str) -> bytes | None:
    """Return the bytes that are kept at a key; None when there are none."""
    text: str | None = connection.call("GET", place)
    return None if text is None else text.encode("utf-8", "surrogateescape")


def write_bytes(connection: Connection, place: str, value: bytes, *, ttl_s: float) -> None:
    """Keep bytes at a key for ``ttl_s``."""
    connection.call("SET", place, value.decode("utf-8", "surrogateescape"), "PX", _milliseconds(ttl_s))


def _milliseconds(ttl_s: float) -> int:
    return max(1, math.ceil(1000 * ttl_s))
