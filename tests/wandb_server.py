"""A server that the client of Weights & Biases takes for one: it keeps runs as their protocol says."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

_HISTORY = "wandb-history.jsonl"
_SUMMARY = "wandb-summary.json"


@dataclass
class KeptRun:
    """A run as the server has it; files by name, as lines."""

    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    stated: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        """Its rows."""
        return [json.loads(line) for line in self.lines.get(_HISTORY, [])]

    @property
    def summary(self) -> dict[str, Any]:
        """Its last figures."""
        kept: dict[str, Any] = json.loads(self.lines.get(_SUMMARY, ["{}"])[-1])
        return kept

    def described(self) -> dict[str, Any]:
        """What a client that resumes it asks for."""
        rows = self.lines.get(_HISTORY, [])
        return {
            "id": "1", "name": self.stated["name"], "summaryMetrics": json.dumps(self.summary),
            "historyLineCount": len(rows), "historyTail": json.dumps(rows[-1:]),
            "eventsLineCount": 0, "eventsTail": "[]", "logLineCount": 0,
            "config": json.dumps(self.config), "tags": self.stated["tags"],
            # Without it a client takes the run for one that has never begun.
            "wandbConfig": json.dumps({"t": self.config.get("_wandb", {}).get("value", {}).get("t")}),
        }  # fmt: skip


@dataclass
class WandbServer:
    """A server that runs; rows it is to lose, as when a client dies, are cut off with ``cut``."""

    port: int = 0
    runs: dict[str, KeptRun] = field(default_factory=dict)

    def cut(self, run_id: str, rows: int) -> None:
        """Leave the first rows of a run, and the summary that goes with them."""
        run = self.runs[run_id]
        del run.lines[_HISTORY][rows:]
        run.lines[_SUMMARY] = run.lines[_HISTORY][-1:]

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a question of GraphQL."""
        name = str(variables.get("name") or variables.get("run") or "")
        project = {"id": "1", "name": variables.get("project"), "entity": {"id": "1", "name": "team"}}
        if "RunResumeStatus" in query:
            known = self.runs.get(name)
            return {"model": {**project, "bucket": known.described() if known else None}}
        if "UpsertBucket" in query:
            is_new = name not in self.runs
            run = self.runs.setdefault(name, KeptRun())
            run.config = json.loads(variables.get("config") or "{}") or run.config
            run.stated |= {key: value for key, value in variables.items() if value is not None}
            bucket = {**run.described(), "displayName": run.stated["displayName"], "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}
        if "CreateRunFiles" in query:
            files = [
                {"name": file, "uploadUrl": f"http://127.0.0.1:{self.port}/kept"}
                for file in variables["files"]
            ]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
        return {}

    def take(self, run_id: str, body: dict[str, Any]) -> None:
        """Keep lines of files, from their offsets on."""
        run = self.runs[run_id]
        for name, part in (body.get("files") or {}).items():
            lines = run.lines.setdefault(name, [])
            lines[part["offset"] : part["offset"] + len(part["content"])] = part["content"]
        if body.get("complete"):
            run.exit_code = body.get("exitcode")


class Receiver(BaseHTTPRequestHandler):
    """Takes one request after the other."""

    kept: ClassVar[WandbServer]

    def do_POST(self) -> None:
        """Take one."""
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if sent[:2] == b"\x1f\x8b":
            sent = gzip.decompress(sent)
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            asked = json.loads(sent)
            answer = {"data": self.kept.answer(asked["query"], asked.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.kept.take(self.path.split("/")[-2], json.loads(sent))
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer one."""
        self.do_POST()

    def do_PUT(self) -> None:
        """Take a file."""
        self.do_POST()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Start one on the loopback interface."""
    kept = WandbServer()
    receiver = type("OwnReceiver", (Receiver,), {"kept": kept})
    server = ThreadingHTTPServer(("127.0.0.1", 0), receiver)
    server.daemon_threads = True
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
