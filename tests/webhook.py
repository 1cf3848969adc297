"""A webhook receiver on the loopback interface: it keeps what it is sent, refuses it, or hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """A receiver that runs; ``status`` is its answer, and while ``is_hanging`` it drips a byte of it at a time."""

    host: str = ""
    status: int = 200
    is_hanging: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    got: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """The subjects of what it was sent."""
        return [body["title"] for body in self.got]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve on a free port until the block ends."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.paths.append(self.path)
            if kept.is_hanging:
                # Each byte is in time: no limit on a single read ever ends this.
                self.send_response_only(200)
                self.flush_headers()
                while not kept.stopped.wait(0.1):
                    self.wfile.write(b"x")
                return
            if kept.status < 400:
                kept.got.append(body)
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            """Serve one connection; who asked may have hung up."""
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield kept
    finally:
        kept.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
