"""What traces and spans are, and those of which nobody is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

Attributes = Mapping[str, str | int | float | bool | None]

NOTHING: Final[Attributes] = {}


class Span(Protocol):
    """Something that takes a while, and may be the parent of others."""

    @property
    def traceparent(self) -> str | None:
        """What says, in other processes, that something is part of this; None where nothing is traced."""

    def end(
        self, attributes: Attributes = NOTHING, *, at: datetime | None = None, error: str | None = None
    ) -> None:
        """End it, now where ``at`` is None; with ``error`` it went wrong. Attributes of None are left out."""


class Traces(Protocol):
    """The spans of one program."""

    @property
    def is_on(self) -> bool:
        """Whether anybody is told of them."""

    def begin(
        self,
        name: str,
        *,
        parent: str | None = None,
        at: datetime | None = None,
        attributes: Attributes = NOTHING,
    ) -> Span:
        """Begin a span, now where ``at`` is None. parent: a traceparent; without one a trace of its own."""

    def close(self) -> None:
        """Send what is left, for CLOSE_S at most."""


class Unheard:
    """A span of which nobody is told."""

    traceparent: str | None = None

    def end(
        self, attributes: Attributes = NOTHING, *, at: datetime | None = None, error: str | None = None
    ) -> None:
        """Do nothing."""


class Untraced:
    """Traces where nobody wants any."""

    is_on = False

    def begin(
        self,
        name: str,  # noqa: ARG002 - as the Protocol has it, here and below
        *,
        parent: str | None = None,  # noqa: ARG002
        at: datetime | None = None,  # noqa: ARG002
        attributes: Attributes = NOTHING,  # noqa: ARG002
    ) -> Span:
        """Return a span of which nobody is told."""
        return Unheard()

    def close(self) -> None:
        """Do nothing."""
