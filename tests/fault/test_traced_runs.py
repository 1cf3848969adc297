"""A run from its submission to its epochs, as a collector of OpenTelemetry is told of it by real programs."""

from __future__ import annotations

import gzip
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from redis_db import RedisDB
from schema import Status
from tests.ports import own_port
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CALLER: Final = "b7ad6b7169203331"
BODY: Final = {"hyper_params": {"trainer": "demo", "num_epochs": 2}}


@dataclass(frozen=True)
class Told:
    """A span as it arrived."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    start_ns: int
    end_ns: int
    attributes: dict[str, str]


@dataclass
class Collector:
    """A server that takes OTLP over HTTP."""

    url: str = ""
    spans: list[Told] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Told(
                            service=named["service.name"],
                            name=span.name,
                            trace=span.trace_id.hex(),
                            span=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            start_ns=span.start_time_unix_nano,
                            end_ns=span.end_time_unix_nano,
                            attributes={item.key: str(item.value) for item in span.attributes},
                        )
                    )

    def named(self, name: str) -> list[Told]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def submit(programs: Programs, environment: dict[str, str]) -> str:
    """Start a backend and submit a run, as a caller that is traced itself."""
    port = own_port()
    programs.start("backend.py", environment=environment, port=port)
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/healthz", trust_env=False, timeout=30).is_success
        except httpx.TransportError:
            return False

    wait_until(is_ready)
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    answer = httpx.post(f"{url}/train", json=BODY, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["iid"])


def test_a_run_is_one_trace_from_its_submission_to_its_epochs(
    programs: Programs, store: RedisDB, collector: Collector
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    run_id = submit(programs, environment)
    programs.start_worker(environment=environment, log_format="json")
    # Not its end: a worker that ends does not wait for long for a collector that is slow.
    wait_until(lambda: collector.named("submit") and collector.named("attempt"), what=programs.output())
    wait_until(lambda: "run ends" in programs.output())

    assert store.runs.get(run_id).status is Status.DONE
    (submitted,), (queued,), (attempt,) = map(collector.named, ("submit", "queued", "attempt"))
    first, second = sorted(collector.named("epoch"), key=lambda span: span.start_ns)
    assert {span.trace for span in collector.spans} == {TRACE}
    assert (submitted.parent, submitted.service) == (CALLER, "wattle-backend")
    assert {queued.parent, attempt.parent} == {submitted.span}
    assert {first.parent, second.parent} == {attempt.span}
    assert {span.service for span in (queued, attempt, first, second)} == {"wattle-worker"}
    assert run_id in attempt.attributes["wattle.run_id"]
    assert "done" in attempt.attributes["wattle.outcome"]
    assert ("1" in first.attributes["wattle.epoch"], "2" in second.attributes["wattle.epoch"]) == (True, True)
    assert queued.start_ns <= queued.end_ns
    assert attempt.start_ns <= first.end_ns <= second.end_ns
    check_lines(programs, run_id)


def check_lines(programs: Programs, run_id: str) -> None:
    """Every line of the worker is JSON, and those about the run name it."""
    lines = [json.loads(line) for line in programs.output().splitlines() if line.startswith("{")]
    assert {line["component"] for line in lines} == {"worker"}
    about = [line["message"].split(" run_id")[0] for line in lines if line.get("run_id") == run_id]
    assert about[0] == "run starts"
    assert about[-1] == "run ends"
    assert all(line["experiment_id"] == run_id for line in lines if "run_id" in line)


def test_a_collector_that_never_answers_costs_no_run_and_no_worker(
    programs: Programs, store: RedisDB
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        run_id = store.queue.submit({"trainer": "demo", "simulated": True, "num_epochs": 2}).run_id
        worker = programs.start_worker("--burst", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": address})
        assert worker.wait(150) == 0, programs.output()
    assert store.runs.get(run_id).status is Status.DONE, programs.output()
    assert "Traceback" not in programs.output()
