"""Answers kept for a while, and who may fetch one: in this process, or shared by whoever implements it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol

MOST_ANSWERS = 1024


class Cache(Protocol):
    """Keeps bytes under a key for a while. May block; may raise nothing but what its owner explains.

    Share one between processes, and they ask a provider once instead of once each.
    """

    def get(self, key: str) -> bytes | None:
        """Return what is kept; None when there is nothing, or no more."""

    def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for ``ttl_s``, in place of what is there."""

    def claim(self, key: str, *, ttl_s: float) -> str | None:
        """Return a token when nobody else holds the key; None while another does. Atomic.

        It ends by itself after ``ttl_s``, so that a holder that died blocks nobody for longer.
        """

    def release(self, key: str, token: str) -> None:
        """Give a key back; nothing happens when the token holds it no more."""


class ProcessCache:
    """Keeps answers in the memory of this process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._claims: dict[str, tuple[float, str]] = {}

    def get(self, key: str) -> bytes | None:
        """Return what is kept; None when there is nothing, or no more."""
        with self._lock:
            end_s, value = self._kept.get(key, (0.0, b""))
            return value if key in self._kept and self._clock() < end_s else None

    def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for ``ttl_s``; the one that would end first makes room."""
        with self._lock:
            self._kept[key] = (self._clock() + ttl_s, value)
            if len(self._kept) > MOST_ANSWERS:
                del self._kept[min(self._kept, key=lambda kept: self._kept[kept][0])]

    def claim(self, key: str, *, ttl_s: float) -> str | None:
        """Return a token when nobody else holds the key; None while another does."""
        with self._lock:
            now_s = self._clock()
            if key in self._claims and now_s < self._claims[key][0]:
                return None
            token = secrets.token_hex(8)
            self._claims[key] = (now_s + ttl_s, token)
            return token

    def release(self, key: str, token: str) -> None:
        """Give a key back; nothing happens when the token holds it no more."""
        with self._lock:
            if key in self._claims and self._claims[key][1] == token:
                del self._claims[key]
