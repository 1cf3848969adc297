"""A backend for tests that watch it, and those who do."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.pictures import batch
from tests.ports import own_port
from tests.programs import Programs, wait_until

PATIENCE_S = 60.0


class LiveBackend:
    """A backend on a free port."""

    def __init__(self, programs: Programs, **settings: object) -> None:
        self.port = own_port()
        self.process = programs.start("backend.py", port=self.port, **settings)  # type: ignore[arg-type] # settings of any kind
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=30)
        wait_until(self._is_ready, timeout_s=60, what=programs.output())

    def send(self, iteration: int, samples: int = 0, **changes: Any) -> Any:
        answer = self.http.post("/rpc/batch_update", json=batch(iteration, samples, **changes))
        answer.raise_for_status()
        return answer.json()

    def watch(self, query: str = "", **options: Any) -> Watcher:
        return Watcher(f"ws://127.0.0.1:{self.port}/ws{query}", **options)

    @contextmanager
    def events(self, query: str = "") -> Iterator[Iterator[Any]]:
        """The messages that come as server-sent events."""
        with self.http.stream("GET", f"/live/events{query}") as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))

    def viewers(self) -> int:
        return int(self.http.get("/healthz").json()["live_viewers"])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, which it does in order and soon."""
        self.http.close()
        self.process.send_signal(number)
        assert self.process.wait(60) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _is_ready(self) -> bool:
        try:
            return self.http.get("/healthz").is_success
        except httpx.HTTPError:
            return False


class Watcher:
    """One WebSocket and the messages on it."""

    def __init__(self, url: str, **options: Any) -> None:
        self._stack = ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(connect(url, proxy=None, **options))

    def next(self, kind: str = "", *, timeout_s: float = PATIENCE_S) -> Any:
        """Return the next message, of that kind if one is named, beats left out."""
        while True:
            message = json.loads(self.socket.recv(timeout=timeout_s))
            if message["type"] == kind or (not kind and message["type"] != "beat"):
                return message

    def until(self, is_it: Callable[[Any], object]) -> Any:
        """Return the first message that is meant."""
        while not is_it(message := self.next()):
            pass
        return message

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
