"""Wattle's API in a thread of the test's process, for the SDK; it can go away, and lose what it answers."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.serving import BaseWSGIServer, make_server

from backend import create_app
from redis_db import RedisDB
from settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class MonitorApi:
    """The real routes on the loopback interface, on one port from its first start on."""

    def __init__(self, settings: Settings, db: RedisDB) -> None:
        self.app = create_app(settings, db)
        self.port = 0
        self.lost: dict[str, int] = {}
        """How many requests of a path's end are carried out and not answered."""
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Come (back)."""
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Go away."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        end = next((end for end, left in self.lost.items() if left and path.endswith(end)), None)
        if end is None:
            return self.app.wsgi_app(environ, start_response)
        self.lost[end] -= 1
        list(self.app.wsgi_app(environ, _hear_nothing))
        start_response("503 Service Unavailable", [("Content-Length", "0")])
        return [b""]


def _hear_nothing(*_given: Any) -> Any:
    return lambda _data: None


@contextmanager
def monitor_api(db: RedisDB, settings: Settings) -> Iterator[MonitorApi]:
    """Serve until the block ends."""
    api = MonitorApi(settings, db)
    api.start()
    try:
        yield api
    finally:
        api.stop()
