"""The routes that the SDK uses, in memory and on the loopback interface; it can go away and come back."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.programs import wait_until
from training_monitor import TrainingMonitor


@dataclass(frozen=True)
class Stored:
    """A version of an artifact. query: what was said of it beside its bytes."""

    name: str
    version: int
    query: dict[str, str]
    content_type: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def is_like(self, other: Stored) -> bool:
        mine, others = (
            (each.name, each.query.get("kind"), each.query.get("step"), each.sha256) for each in (self, other)
        )
        return mine == others


@dataclass
class Recorded:
    """A run as the server has it. acts: path and body of every other request."""

    body: dict[str, Any]
    points: dict[str, list[tuple[int, Any, float]]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    acts: list[tuple[str, Any]] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    files: list[Stored] = field(default_factory=list)
    histograms: list[dict[str, Any]] = field(default_factory=list)
    request: str | None = None

    def is_new(self, session: str, seq: int) -> bool:
        """Whether a batch was not there yet; it is from now on."""
        if seq <= self.sources.get(session, 0):
            return False
        self.sources[session] = seq
        return True


@dataclass
class Refusal:
    """An answer that is no success; also of a proxy before the server."""

    status: int
    message: str
    is_ours: bool = True

    @property
    def body(self) -> Any:
        if not self.is_ours:
            return self.message
        return {"error": {"code": "no", "message": self.message}}


@dataclass
class Success:
    """An answer that is one."""

    body: Any
    status: int = 200


class MonitorServer:
    """What the SDK's API does with requests, and what it got."""

    def __init__(self) -> None:
        self.runs: dict[str, Recorded] = {}
        self.keys: dict[str, str] = {}
        self.lock = threading.Lock()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.samples: list[dict[str, Any]] = []
        self.models: list[dict[str, Any]] = []
        self.refuse: Callable[[str, Any], Refusal | None] = lambda _path, _body: None
        self.lose_answers = 0
        """So many requests are carried out and not answered."""
        self.page_url = "http://page.example:8501"
        """Empty for a server of an earlier version, which does not tell."""
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Come (back), on the same port."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler_of(self))
        server.daemon_threads = True
        self._server, self.port = server, server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def is_up(self) -> bool:
        return self._server is not None

    @property
    def only_run(self) -> Recorded:
        (run,) = self.runs.values()
        return run

    def ask(
        self, method: str, path: str, params: dict[str, list[str]], body: Any, headers: dict[str, str]
    ) -> Success | Refusal | None:
        """Return the answer to a request; None when it is lost."""
        with self.lock:
            self.asked.append((method, path, headers))
            answer = self.answer(method, path, params, body, headers.get("idempotency-key", ""))
            if self.lose_answers > 0:
                self.lose_answers -= 1
                return None
            return answer if isinstance(answer, Refusal) else Success(answer)

    def answer(self, method: str, path: str, params: dict[str, list[str]], body: Any, key: str) -> Any:
        """Return what to answer."""
        if refusal := self.refuse(path, body):
            return refusal
        parts = path.strip("/").split("/")
        if path == "/rpc/batch_update":
            self.samples.append(body)
            return {"status": "ok"}
        if path == "/api/models":
            return self._register(body, key)
        if path == "/api/page":
            return {"page_url": self.page_url} if self.page_url else Refusal(404, "There is no such route.")
        if path == "/api/experiments":
            return self._create(body, key) if method == "POST" else self._list(params)
        run = self.runs.get(parts[2])
        if run is None:
            return Refusal(404, f"There is no run {parts[2]}.")
        if method == "GET":
            return self._summary(run) if parts[1] == "metrics" else self._reply(parts[2])
        if parts[1] == "artifacts":
            query = {name: values[0] for name, values in params.items()}
            return self._store(run, "/".join(parts[3:]), query, *body)
        return self._take(run, parts, body)

    def _store(self, run: Recorded, name: str, query: dict[str, str], content_type: str, data: bytes) -> Any:
        version = 1 + sum(file.name == name for file in run.files)
        new = Stored(name, version, query, content_type, data)
        if query["sha256"] != new.sha256:
            return Refusal(422, "These are other bytes.")
        known = next((file for file in run.files if file.is_like(new)), None)
        if known is None:
            run.files.append(new)
        return {"name": name, "version": (known or new).version}

    def _register(self, body: Any, key: str) -> Any:
        if key not in self.keys:
            self.keys[key] = key
            self.models.append(body)
        return {"name": body["name"], "version": len(self.models)}

    def _create(self, body: Any, key: str) -> Any:
        if (resumed := body.get("resume")) is not None:
            return self._reply(resumed) if resumed in self.runs else Refusal(404, "There is no such run.")
        if key not in self.keys:
            self.keys[key] = uuid.uuid4().hex
            self.runs[self.keys[key]] = Recorded(body)
        return self._reply(self.keys[key])

    def _reply(self, run_id: str) -> dict[str, Any]:
        body = self.runs[run_id].body
        return {"iid": run_id, "name": body["name"], "hyper_params": body["params"]}

    def _list(self, params: dict[str, list[str]]) -> Any:
        wanted = params.get("name", [""])[0]
        found = [run_id for run_id, run in self.runs.items() if run.body["name"] == wanted]
        return {"results": [self._reply(run_id) for run_id in reversed(found)]}

    def _summary(self, run: Recorded) -> Any:
        def row(name: str) -> dict[str, Any]:
            values = [value for _, value, _ in run.points[name] if not isinstance(value, str)]
            last = max(run.points[name], key=lambda point: point[0])[1]
            return {"name": name, "min": min(values), "max": max(values), "last_value": last}

        return {"names": [row(name) for name in run.points]}

    def _take(self, run: Recorded, parts: list[str], body: Any) -> Any:
        if parts[1] == "metrics":
            if run.is_new(body["session"], body["seq"]):
                for name, column in body["points"].items():
                    triples = zip(column["steps"], column["values"], column["times"], strict=True)
                    run.points.setdefault(name, []).extend(triples)
        elif parts[1] == "histograms":
            if run.is_new(body["session"] + ":histograms", body["seq"]):
                run.histograms += body["histograms"]
        elif parts[1] == "logs":
            if run.is_new(body["session"] + ":log", body["seq"]):
                run.lines += [line["text"] for line in body["lines"]]
        else:
            # Which session ends a run is this server's concern alone.
            run.acts.append((parts[3], {name: value for name, value in body.items() if name != "session"}))
            return {}
        return {"seq": body["seq"], "accepted": True, "request": run.request}


def wait_until_ended(monitor: TrainingMonitor) -> None:
    """Wait until a finished monitor uses its spool no more; its replay may have taken its own session up."""
    wait_until(lambda: monitor._engine is not None and monitor._engine.is_closed)
    assert monitor._replay is not None
    monitor._replay.close(30.0)


def _handler_of(site: MonitorServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply("GET", None)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            is_file = self.path.startswith("/api/artifacts/")
            self._reply("POST", (self.headers["Content-Type"], raw) if is_file else _parse(self.headers, raw))

        def _reply(self, method: str, body: Any) -> None:
            if not site.is_up:
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = site.ask(method, parts.path, parse_qs(parts.query), body, headers)
            if answer is None:
                self.close_connection = True
                return
            content = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            """Serve one connection; who asked may have hung up."""
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    return Handler


def _parse(headers: Message, raw: bytes) -> Any:
    if headers.get("Content-Encoding") == "gzip":
        raw = gzip.decompress(raw)
    return json.loads(raw, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


@contextmanager
def monitor_server() -> Iterator[MonitorServer]:
    """Serve until the block ends."""
    server = MonitorServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
