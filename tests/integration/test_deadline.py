"""The socket that gives a whole request one limit, over a pair of sockets and a clock the test winds."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from api.deadline import DeadlineSocket

LIMIT_S = 0.01


class Wire:
    """Both ends of a connection, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("api.deadline.time", SimpleNamespace(monotonic=lambda: self.now_s))
        self.peer, connection = socket.socketpair()
        self.server = DeadlineSocket.of(connection, limit_s=LIMIT_S)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    made = Wire(monkeypatch)
    with made.peer, made.server:
        yield made


def test_a_peer_that_dribbles_is_cut_off_though_every_byte_is_in_time(wire: Wire) -> None:
    wire.peer.sendall(b"abc")
    assert wire.server.recv(1) == b"a"
    wire.now_s += LIMIT_S / 2
    assert wire.server.recv(1) == b"b"
    wire.now_s += LIMIT_S
    with pytest.raises(TimeoutError) as late:
        wire.server.recv(1)
    assert late.value.errno == errno.ECONNRESET
    wire.server.start_request()
    assert wire.server.recv(1) == b"c"


def test_a_peer_that_is_silent_is_cut_off(wire: Wire) -> None:
    with pytest.raises(TimeoutError) as late:
        wire.server.recv(1)
    assert late.value.errno == errno.ECONNRESET
    assert wire.server.gettimeout() is None


def test_a_peer_that_takes_no_reply_is_cut_off(wire: Wire) -> None:
    with pytest.raises(TimeoutError):
        wire.server.sendall(b" " * 10_000_000)


def test_a_socket_that_may_not_wait_does_not(wire: Wire) -> None:
    wire.server.setblocking(False)
    with pytest.raises(BlockingIOError):
        wire.server.recv(1)
    assert wire.server.gettimeout() == 0
