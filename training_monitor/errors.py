"""The errors of this library. ``str(error)`` is a sentence for the user that says what to do.

MonitorError
├── ServerAway      no usable answer came; the same request may be sent again
├── KeyNeeded       the server wants a token, or another one
└── ServerRefused   the server said no, and would again
"""

from __future__ import annotations


class MonitorError(Exception):
    """Any failure this library explains to its user; raised at construction with ``strict=True`` only."""


class ServerAway(MonitorError):
    """Wattle did not answer, or not with anything usable."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Take the sentence, and the HTTP status where there was an answer: Wattle's own, or a proxy's."""
        super().__init__(message)
        self.status = status


class KeyNeeded(MonitorError):
    """Wattle wants a token, or another one than it got."""


class ServerRefused(MonitorError):
    """Wattle said no, and would say so again."""

    def __init__(self, status: int, message: str) -> None:
        """Take the HTTP status and the server's sentence."""
        super().__init__(message)
        self.status = status
