"""Viewers over pairs of sockets: who is slow, who is gone, and what each is sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from werkzeug.exceptions import BadRequest

from api.live.viewers import STUCK_S, EventStreamWire, Viewer, WebSocketWire, take_over
from errors import LiveUnavailable

HANDSHAKE = [
    ("Host", "x"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
    ("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-Websocket-Version", "13"),
]  # fmt: skip
LARGE = b"x" * 4_000_000


class Pair:
    """A viewer and the other end of its connection."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(60)
        self.viewer = Viewer(ours, WebSocketWire("/ws", HANDSHAKE), "default", now_s=0.0)
        self.viewer.push(0.0)
        assert self.theirs.recv(10_000).startswith(b"HTTP/1.1 101")

    def offer(self, text: bytes, now_s: float = 0.0) -> bool:
        return self.viewer.offer(self.viewer.wire.wrap(text), now_s)

    def say(self, opcode: Opcode, content: bytes = b"") -> None:
        self.theirs.sendall(Frame(opcode, content).serialize(mask=True))
        self.viewer.listen(0.0)

    def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            self.viewer.push(0.0)
            found += self.theirs.recv(size - len(found))
        return found


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.viewer.close()
    made.theirs.close()


def test_the_handshake_is_that_of_the_standard() -> None:
    # RFC 6455, 1.3, has this key and this answer.
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in WebSocketWire("/ws", HANDSHAKE).greeting


def test_a_token_among_the_protocols_is_not_repeated() -> None:
    asked = ("Sec-WebSocket-Protocol", "wattle, wattle.token.a-secret")
    greeting = WebSocketWire("/ws", [*HANDSHAKE, asked]).greeting
    assert b"Sec-WebSocket-Protocol: wattle\r\n" in greeting
    assert b"a-secret" not in greeting


@pytest.mark.parametrize("missing", ["Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version"])
def test_half_a_handshake_is_refused(missing: str) -> None:
    with pytest.raises(BadRequest, match="as a WebSocket"):
        WebSocketWire("/ws", [(name, value) for name, value in HANDSHAKE if name != missing])


def test_a_viewer_that_takes_nothing_holds_one_message_and_misses_the_rest(pair: Pair) -> None:
    assert pair.offer(LARGE)
    pair.viewer.needs_snapshot = False
    for _ in range(100):
        assert not pair.offer(LARGE)
    assert pair.viewer.needs_snapshot
    assert pair.viewer.is_waiting
    pair.read(len(pair.viewer.wire.wrap(LARGE)))
    assert not pair.viewer.is_waiting
    assert pair.offer(b"{}")
    assert pair.read(4) == b"\x81\x02{}"


def test_a_viewer_that_takes_nothing_for_long_is_gone_and_one_that_takes_a_little_is_not(pair: Pair) -> None:
    pair.offer(LARGE, now_s=0.0)
    pair.viewer.push(STUCK_S + 1)
    assert pair.viewer.is_gone
    other = Pair()
    other.offer(LARGE, now_s=0.0)
    other.theirs.recv(1_000_000)
    other.viewer.push(STUCK_S - 1)
    other.viewer.push(STUCK_S + 1)
    assert not other.viewer.is_gone
    other.viewer.close()
    other.theirs.close()


def test_an_answer_to_a_ping_never_cuts_a_message_in_two(pair: Pair) -> None:
    pair.offer(LARGE)
    pair.say(Opcode.PING, b"here?")
    whole = pair.viewer.wire.wrap(LARGE)
    assert pair.read(len(whole)) == whole
    assert pair.read(7) == b"\x8a\x05here?"


def test_who_pings_without_listening_is_gone(pair: Pair) -> None:
    pair.offer(LARGE)
    for _ in range(2_000):
        pair.say(Opcode.PING, b"x" * 100)
    assert pair.viewer.is_gone


@pytest.mark.parametrize(
    "said",
    [(Opcode.CLOSE, b"\x03\xe8"), (Opcode.TEXT, b"x" * 5_000), (Opcode.CONT, b"")],
)
def test_who_closes_or_breaks_the_rules_is_gone(pair: Pair, said: tuple[Opcode, bytes]) -> None:
    pair.say(*said)
    pair.viewer.listen(0.0) if not pair.viewer.is_gone else None
    assert pair.viewer.is_gone


def test_who_hangs_up_is_gone(pair: Pair) -> None:
    pair.theirs.close()
    pair.viewer.listen(0.0)
    assert pair.viewer.is_gone


def test_events_are_lines_of_json() -> None:
    wire = EventStreamWire([("X-Test", "1")])
    assert b"\r\nX-Test: 1\r\n\r\n" in wire.greeting
    event = wire.wrap(json.dumps({"text": "two\nlines"}).encode())
    assert event.count(b"\n") == 2


def test_a_connection_is_taken_over_whatever_the_server_does_to_its_own() -> None:
    own, theirs = socket.socketpair()
    taken = take_over({"gunicorn.socket": own})
    own.shutdown(socket.SHUT_WR)
    own.close()
    taken.sendall(b"still here")
    assert theirs.recv(100) == b"still here"
    taken.close()
    assert theirs.recv(100) == b""
    theirs.close()


@pytest.mark.parametrize("environ", [{}, {"gunicorn.socket": None}, {"werkzeug.socket": 1}])
def test_a_server_without_sockets_is_told(environ: dict[str, Any]) -> None:
    with pytest.raises(LiveUnavailable, match="gunicorn"):
        take_over(environ)


def test_headers_of_any_kind_are_read() -> None:
    assert WebSocketWire("/ws?run_id=1", list(Headers(HANDSHAKE).raw_items())).greeting
