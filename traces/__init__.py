"""Traces for OpenTelemetry, from a submission to each epoch; nothing without an address to send them to.

A run carries its trace as a W3C ``traceparent``. Only ``traces/otel.py`` knows OpenTelemetry; it is imported
where one of ENDPOINTS is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from errors import InvalidInput
from traces.spans import NOTHING, Attributes, Span, Traces, Unheard, Untraced

__all__ = [
    "ENDPOINTS", "NOTHING", "Attributes", "Span", "Traces", "Unheard", "Untraced", "open_traces",
]  # fmt: skip

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


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
