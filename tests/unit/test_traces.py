"""Spans as they are handed to OpenTelemetry, and nothing where nobody wants them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from traces import Untraced, open_traces
from traces.otel import OneWarning, SentTraces

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[SentTraces]:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    opened = SentTraces("worker", memory)
    yield opened
    opened.close()


def test_without_an_address_nothing_is_traced() -> None:
    traces = open_traces("backend", {"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    assert isinstance(traces, Untraced)
    span = traces.begin("submit", parent=PARENT)
    assert (traces.is_on, span.traceparent) == (False, None)
    span.end({"a": 1}, error="none")
    traces.close()


def test_a_span_has_its_parent_its_times_and_what_is_known(
    traces: SentTraces, memory: InMemorySpanExporter
) -> None:
    span = traces.begin("epoch", parent=PARENT, at=NOON, attributes={"a": 1, "b": None})
    span.end({"c": 0.5, "d": None}, at=NOON + timedelta(seconds=2))
    traces.close()
    (sent,) = memory.get_finished_spans()
    assert sent.parent is not None
    assert f"{sent.parent.trace_id:032x}-{sent.parent.span_id:016x}" == PARENT[3:-3]
    assert dict(sent.attributes or {}) == {"a": 1, "c": 0.5}
    assert (sent.start_time, sent.end_time) == (
        int(NOON.timestamp()) * 10**9,
        int(NOON.timestamp() + 2) * 10**9,
    )
    assert sent.resource.attributes["service.name"] == "wattle-worker"
    assert span.traceparent is not None
    assert span.traceparent.split("-")[1] == PARENT.split("-")[1]


@pytest.mark.parametrize("parent", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_without_a_parent_that_can_be_read_a_trace_begins(
    traces: SentTraces, memory: InMemorySpanExporter, parent: str | None
) -> None:
    traces.begin("attempt", parent=parent).end(error="failed")
    traces.close()
    (sent,) = memory.get_finished_spans()
    assert sent.parent is None
    assert not sent.status.is_ok


class Flaky(SpanExporter):
    """A place that is away for three batches."""

    def __init__(self) -> None:
        self.results = [SpanExportResult.FAILURE] * 3 + [SpanExportResult.SUCCESS] * 2

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert list(spans) == []
        return self.results.pop(0)


def test_a_place_that_is_away_is_told_once_and_once_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    exporter = OneWarning(Flaky())
    for _ in range(5):
        exporter.export([])
    assert caplog.messages == [
        "traces are dropped: where OTEL_EXPORTER_OTLP_ENDPOINT says nobody takes them",
        "traces are sent again",
    ]
