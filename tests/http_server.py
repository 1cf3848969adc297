"""A provider on the loopback interface: real sockets, answers that a test gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Reply:
    """What to send. body: bytes as they are, all else as JSON. trickle_s: between two bytes of it."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    trickle_s: float = 0.0
    hang: bool = False
    promised: int = 0  # bytes that are announced and never sent


@dataclass
class Site:
    """A server that runs, and what it was asked."""

    url: str
    answer: Callable[[str, dict[str, str]], Reply]
    stopped: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Site]:
    """Serve on a free port until the block ends; ``answer`` may be set any time."""
    site = Site("", lambda _path, _params: Reply(status=404))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(site))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler_of(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = dict(parse_qsl(parts.query))
            site.asked.append((parts.path, params, {k.lower(): v for k, v in self.headers.items()}))
            self._send(site.answer(parts.path, params))

        def _send(self, reply: Reply) -> None:
            if reply.hang:
                site.stopped.wait(30)
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(body) + reply.promised), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for byte in [body] if not reply.trickle_s else [body[i : i + 1] for i in range(len(body))]:
                self.wfile.write(byte)
                if site.stopped.wait(reply.trickle_s):
                    return

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            """Serve one connection; who asked may have hung up."""
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    return Handler
