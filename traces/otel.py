"""Spans as OpenTelemetry has them, sent by OTLP over HTTP in a thread of their own.

The address, headers, time-out and attributes of the resource are OpenTelemetry's own variables, OTEL_…
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from traces.spans import NOTHING, Attributes, Span, Traces

log = logging.getLogger(__name__)

# How long the end of a program waits for what is not sent yet; an address that is away costs no more.
CLOSE_S: Final = 2.0
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def open_sender(component: str) -> Traces:
    """Return traces that are sent to where the environment says."""
    # Each try that fails would be a traceback of theirs; ours says it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return SentTraces(component, OneWarning(OTLPSpanExporter()))


class SentTraces:
    """The spans of one program. Beginning and ending one never waits: what is too much is dropped."""

    is_on = True

    def __init__(self, component: str, exporter: SpanExporter) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or f"wattle-{component}"
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("wattle")

    def begin(
        self,
        name: str,
        *,
        parent: str | None = None,
        at: datetime | None = None,
        attributes: Attributes = NOTHING,
    ) -> Span:
        """Begin a span; a parent that is no traceparent counts as none."""
        # Without a context of its own it would be the child of whatever this thread has open.
        context = _PROPAGATOR.extract({"traceparent": parent} if parent else {}, Context())
        return _SentSpan(
            self._tracer.start_span(name, context, attributes=_known(attributes), start_time=_nanoseconds(at))
        )

    def close(self) -> None:
        """Send what is left. In a thread: an address that does not answer would hold it up for longer."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class _SentSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """The span as a header has it."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier.get("traceparent")

    def end(
        self, attributes: Attributes = NOTHING, *, at: datetime | None = None, error: str | None = None
    ) -> None:
        """End the span and hand it to the thread that sends."""
        self._span.set_attributes(_known(attributes))
        if error is not None:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end(_nanoseconds(at))


class OneWarning(SpanExporter):
    """Sends spans, and says once when they cannot be sent and once when they can again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that could not be sent are lost."""
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away != self._is_away:
            self._is_away = is_away
            if is_away:
                log.warning("traces are dropped: where OTEL_EXPORTER_OTLP_ENDPOINT says nobody takes them")
            else:
                log.info("traces are sent again")
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all is sent."""
        return self._exporter.force_flush(timeout_millis)


def _known(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1e9)
