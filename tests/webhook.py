"""A webhook receiver on the loopback interface: it keeps what it is sent, refuses it, or hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


@dataclass
class Webhook:
    """A receiver that runs; it answers ``status``, while ``is_hanging`` a byte at a time and without end."""

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


class Receiver(BaseHTTPRequestHandler):
    """Takes one request after the other."""

    kept: ClassVar[Webhook]

    def do_POST(self) -> None:
        """Take a message."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.kept.paths.append(self.path)
        if self.kept.is_hanging:
            # Each byte is in time: no limit on a single read ever ends this.
            self.send_response_only(200)
            self.flush_headers()
            while not self.kept.stopped.wait(0.1):
                self.wfile.write(b"x")
            return
        if self.kept.status < 400:
            self.kept.got.append(body)
        self.send_response(self.kept.status)
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


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve on a free port until the block ends."""
    own = Webhook()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnReceiver", (Receiver,), {"kept": own}))
    own.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield own
    finally:
        own.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
