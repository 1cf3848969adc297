"""Traces for OpenTelemetry, from a submission to each epoch; nothing without an address to send them to.

A run carries its trace as a W3C ``traceparent``. Only ``traces/otel.py`` knows OpenTelemetry; it is imported
where one of ENDPOINTS is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from errors import InvalidInput

Attributes = Mapping[str, str | int | float | bool | None]

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
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


def open_traces(component: str, environment: Mapping[str, str] = os.environ) -> Traces:
    """Return the traces of a program, sent where the environment says.

    Raises InvalidInput when that names a place and OpenTelemetry is not installed.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return Untraced()
    try:
        from traces.otel import open_sender
    except ImportError as error:
        raise InvalidInput(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is not installed: traces cannot be sent. "
            "Install it with pip install 'wattle[otel]', or unset the variable."
        ) from error
    return open_sender(component)
