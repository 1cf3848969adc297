"""Those who watch: connections that no thread waits for, and that cannot be made to hold much."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol as Peer
from websockets.protocol import Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from werkzeug.exceptions import BadRequest

from errors import LiveUnavailable

# What a WebSocket asks for beside its token, and is answered: a token is never repeated.
PROTOCOL: Final = Subprotocol("wattle")
# Who takes nothing for so long is not there any more.
STUCK_S: Final = 15.0
# A viewer says next to nothing: pings, and that it closes.
_MOST_HEARD_BYTES: Final = 4_096
_MOST_WAITING_BYTES: Final = 64_000
_EVENT_STREAM_HEAD: Final = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
    ("X-Accel-Buffering", "no"),
)


def take_over(environ: dict[str, Any]) -> socket.socket:
    """Return the connection of a request, for good; what the server has left of it leads nowhere.

    Raises LiveUnavailable where the server gives none.
    """
    own = environ.get("gunicorn.socket")
    if not isinstance(own, socket.socket) or isinstance(own, ssl.SSLSocket):
        raise LiveUnavailable(
            "This server cannot hold live connections. Start it with gunicorn and Wattle's gunicorn.conf.py, "
            "and have TLS ended by a proxy before it."
        )
    taken = socket.socket(fileno=os.dup(own.fileno()))
    # The server goes on to close its socket, which would end the connection for every copy of it.
    here, there = socket.socketpair()
    os.dup2(here.fileno(), own.fileno(), inheritable=False)
    here.close()
    there.close()
    return taken


class Wire(Protocol):
    """How messages are put on a connection; ``greeting`` is sent first."""

    greeting: bytes

    def wrap(self, text: bytes) -> bytes:
        """Return a message as it is sent."""

    def hear(self, content: bytes) -> bytes | None:
        """Return the answer to what the viewer says; None when it closes."""

    def close(self) -> bytes:
        """Return what is sent last."""


class WebSocketWire:
    """A WebSocket (RFC 6455), without compression, so that a message is the same for every viewer.

    Raises BadRequest when the request asks for none, or in a way that is not understood.
    """

    def __init__(self, path: str, headers: Iterable[tuple[str, str]]) -> None:
        protocol = ServerProtocol(select_subprotocol=_select_protocol)
        response = protocol.accept(Request(path, Headers(headers)))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            raise BadRequest("Open this address as a WebSocket, version 13; /live/events is the same as SSE.")
        self.greeting = response.serialize()
        self._peer = Peer(Side.SERVER, state=State.OPEN, max_size=_MOST_HEARD_BYTES)

    def wrap(self, text: bytes) -> bytes:
        """Return a message as one text frame."""
        return Frame(Opcode.TEXT, text).serialize(mask=False)

    def hear(self, content: bytes) -> bytes | None:
        """Answer pings and the wish to close; what else a viewer says is not heard."""
        self._peer.receive_data(content)
        self._peer.events_received()
        answer = b"".join(self._peer.data_to_send())
        return answer if self._peer.state is State.OPEN else None

    def close(self) -> bytes:
        """Say that the server goes away."""
        if self._peer.state is not State.OPEN:
            return b""
        self._peer.send_close(CloseCode.GOING_AWAY, "the server stops")
        return b"".join(self._peer.data_to_send())


def _select_protocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return PROTOCOL if PROTOCOL in offered else None


class EventStreamWire:
    """Server-sent events: a response without an end. headers: what else its head says."""

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        lines = [f"{name}: {value}" for name, value in (*_EVENT_STREAM_HEAD, *headers)]
        self.greeting = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", "retry: 1000\n\n"]).encode("latin-1")

    def wrap(self, text: bytes) -> bytes:
        """Return a message as one event; JSON has no line breaks."""
        return b"data: " + text + b"\n\n"

    def hear(self, content: bytes) -> bytes | None:  # noqa: ARG002 - there is no way to say anything
        """Ignore it."""
        return b""

    def close(self) -> bytes:
        """Say nothing: the connection ends, and the browser comes back."""
        return b""


class Viewer:
    """One who watches ``view``. It is sent a snapshot first, and whenever it was too slow for the news."""

    def __init__(self, connection: socket.socket, wire: Wire, view: str, *, now_s: float) -> None:
        connection.setblocking(False)
        # A message is complete: nothing is gained by waiting for the next one.
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.view = view
        self.wire = wire
        self.needs_snapshot = True
        self.is_gone = False
        self._unsent = wire.greeting
        self._moved_s = now_s
        self._unheard_bytes = 0

    @property
    def is_waiting(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._unsent)

    def offer(self, framed: bytes, now_s: float) -> bool:
        """Send a message; False, and it needs a snapshot, when it has not even taken the one before."""
        if self._unsent:
            self.push(now_s)
        if self._unsent or self.is_gone:
            self.needs_snapshot = True
            return False
        self._unsent, self._moved_s = framed, now_s
        self.push(now_s)
        return True

    def push(self, now_s: float) -> None:
        """Send what the connection takes now; who has taken nothing for STUCK_S is gone."""
        if not self._unsent:
            return
        try:
            sent = self.connection.send(self._unsent)
        except BlockingIOError:
            self.is_gone = self.is_gone or now_s - self._moved_s > STUCK_S
        except OSError:
            self.is_gone = True
        else:
            self._unsent, self._moved_s = self._unsent[sent:], now_s

    def listen(self, now_s: float) -> None:
        """Hear what it says; a connection that has ended, or is to end, is gone."""
        try:
            content = self.connection.recv(_MOST_HEARD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        answer = self.wire.hear(content) if content else None
        # Who asks on without taking the answers would have them pile up here.
        self._unheard_bytes = self._unheard_bytes + len(answer or b"") if self._unsent else 0
        if answer is None or self._unheard_bytes > _MOST_WAITING_BYTES:
            self.is_gone = True
            return
        # Behind what is on its way: a message is not to be cut in two.
        self._unsent += answer
        self.push(now_s)

    def close(self) -> None:
        """End the connection; one that still takes something is told so."""
        if not self._unsent:
            with contextlib.suppress(OSError):
                self.connection.send(self.wire.close())
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
        self.connection.close()
