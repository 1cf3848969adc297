"""The one thread that shows live views: it reads what is new from Redis and sends it to all who watch."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from api.live.source import LiveSource
from api.live.view import LiveView, Message, encode
from api.live.viewers import Viewer, Wire
from errors import ArchiveUnavailable, LiveUnavailable, StoreUnavailable
from redis_db import RedisDB

log = logging.getLogger(__name__)

# How often news are sent: of everything that came meanwhile, one message.
FRAME_S: Final = 0.033
# How long Redis is asked to wait for news, and so how late somebody who comes may be noticed.
_WAIT_S: Final = 0.05
# A viewer hears something at least so often, or the connection is dead.
BEAT_S: Final = 5.0
_RETRY_S: Final = 0.5
_STOP_S: Final = 1.0


class LiveStage:
    """All live connections of one process. They take no thread of the server: ``admit`` returns at once.

    delay_s: how long updates are held back. tell_count: told how many are connected whenever that changes.
    The thread starts with the first viewer; it sleeps while there
    is none.
    """

    def __init__(
        self,
        db: RedisDB,
        *,
        most_viewers: int,
        delay_s: float = 0.0,
        tell_count: Callable[[int], None] | None = None,
    ) -> None:
        self._tell_count = tell_count
        self._most_viewers = most_viewers
        self._source = LiveSource(db, delay_s=delay_s)
        self._lock = threading.Lock()
        self._arrivals: deque[Viewer] = deque()
        self._viewers: list[Viewer] = []
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._is_stopping = False
        self._is_store_away = False
        self._retry_at_s = self._next_beat_s = 0.0

    @property
    def viewer_count(self) -> int:
        """How many are connected."""
        return len(self._viewers) + len(self._arrivals)

    def check_room(self) -> None:
        """Raise LiveUnavailable when there are as many viewers as there may be."""
        if self._is_stopping:
            raise LiveUnavailable("The backend is stopping. Try again in a moment.")
        if self.viewer_count >= self._most_viewers:
            raise LiveUnavailable(
                f"{self._most_viewers} live connections are open, the limit of WATTLE_LIVE_VIEWERS. "
                "Close one, or try again later."
            )

    def admit(self, connection: socket.socket, wire: Wire, view: str) -> None:
        """Show a view to a connection from now on."""
        with self._lock:
            self._arrivals.append(Viewer(connection, wire, view, now_s=time.monotonic()))
            self._count()
            # Not is_alive: a thread that has failed is alive while its error is reported, and shows nothing.
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Close every connection and end the thread."""
        self._is_stopping = True
        self._wake.set()
        if (thread := self._thread) is not None:
            thread.join(_STOP_S)
        for viewer in (*self._viewers, *self._arrivals):
            viewer.close()
        self._viewers.clear()
        self._arrivals.clear()
        self._count()

    def _count(self) -> None:
        if self._tell_count is not None:
            self._tell_count(self.viewer_count)

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                while not self._is_stopping:
                    self._show_frame(selector)
        finally:
            # The next thread has a selector of its own, which would not know them; they come again.
            with self._lock:
                self._thread = None
                for viewer in (*self._viewers, *self._arrivals):
                    viewer.close()
                self._viewers.clear()
                self._arrivals.clear()
                self._count()

    def _show_frame(self, selector: selectors.BaseSelector) -> None:
        started_s = time.monotonic()
        self._welcome(selector)
        if not self._viewers:
            self._rest()
            return
        self._refresh(started_s)
        self._show(time.monotonic())
        self._listen(selector, until_s=started_s + FRAME_S)
        self._dismiss(selector)

    def _rest(self) -> None:
        """Wait for somebody to come."""
        self._source.views.clear()
        self._wake.wait()
        self._wake.clear()

    def _welcome(self, selector: selectors.BaseSelector) -> None:
        while self._arrivals:
            viewer = self._arrivals.popleft()
            self._viewers.append(viewer)
            selector.register(viewer.connection, selectors.EVENT_READ, viewer)

    def _dismiss(self, selector: selectors.BaseSelector) -> None:
        for viewer in [viewer for viewer in self._viewers if viewer.is_gone]:
            self._viewers.remove(viewer)
            selector.unregister(viewer.connection)
            viewer.close()
            self._count()

    def _refresh(self, now_s: float) -> None:
        if now_s < self._retry_at_s:
            return
        try:
            self._source.refresh({viewer.view for viewer in self._viewers}, now_s, wait_s=_WAIT_S)
        except (ArchiveUnavailable, StoreUnavailable) as error:
            if not self._is_store_away:
                log.warning("live views stand still: %s", error)
                self._next_beat_s = 0.0
            self._is_store_away = True
            self._retry_at_s = time.monotonic() + _RETRY_S
        else:
            if self._is_store_away:
                self._next_beat_s = 0.0
            self._is_store_away = False

    def _show(self, now_s: float) -> None:
        """Send news to all who have seen what came before, and everything to the others."""
        for view, shown in self._source.views.items():
            watching = [viewer for viewer in self._viewers if viewer.view == view]
            if (news := shown.take_news()) is not None:
                _send(news, [viewer for viewer in watching if not viewer.needs_snapshot], now_s)
            _send_all(shown, [viewer for viewer in watching if viewer.needs_snapshot], now_s)
        if now_s >= self._next_beat_s:
            self._next_beat_s = now_s + BEAT_S
            beat: Message = {"type": "beat", "is_store_away": self._is_store_away}
            _send(beat, [viewer for viewer in self._viewers if not viewer.is_waiting], now_s)

    def _listen(self, selector: selectors.BaseSelector, *, until_s: float) -> None:
        """Hear viewers, and send on to those that were slow, until it is time for the next message."""
        while True:
            now_s = time.monotonic()
            for viewer in self._viewers:
                viewer.push(now_s)
            for key, _ in selector.select(max(0.0, until_s - now_s)):
                key.data.listen(time.monotonic())
            if time.monotonic() >= until_s or any(viewer.is_gone for viewer in self._viewers):
                return


def _send_all(shown: LiveView, viewers: list[Viewer], now_s: float) -> None:
    ready = [viewer for viewer in viewers if not viewer.is_waiting]
    if ready:
        for viewer in _send(shown.snapshot(), ready, now_s):
            viewer.needs_snapshot = False


def _send(message: Message, viewers: list[Viewer], now_s: float) -> list[Viewer]:
    """Send a message to all of them; it is written once for each kind of connection. Returns who took it."""
    if not viewers:
        return []
    text = encode(message, now_s=time.time())
    framed: dict[type[Wire], bytes] = {}
    took = []
    for viewer in viewers:
        kind = type(viewer.wire)
        if kind not in framed:
            framed[kind] = viewer.wire.wrap(text)
        if viewer.offer(framed[kind], now_s):
            took.append(viewer)
    return took
