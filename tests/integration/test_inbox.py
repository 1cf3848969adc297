"""What a child says is taken off its pipe at once, in its order, and not without bounds."""

from __future__ import annotations

import select
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from tests.programs import wait_until
from work.inbox import MOST_BYTES, Inbox

FRAME = bytes(1 << 11)
MOST_FRAMES = MOST_BYTES // len(FRAME)


def has_room(pipe: Connection, timeout_s: float) -> bool:
    """Whether a small frame can be sent at once."""
    return bool(select.select([], [pipe], [], timeout_s)[1])


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """The worker's end of a pipe, which its inbox closes, and the child's."""
    ours, theirs = Pipe()
    yield ours, theirs
    theirs.close()


def test_frames_come_in_their_order_and_then_the_end(ends: tuple[Connection, Connection]) -> None:
    inbox = Inbox(ends[0])
    assert inbox.take(0, most=10) == ([], False)
    for number in range(1_000):
        ends[1].send_bytes(str(number).encode())
    ends[1].close()
    taken: list[bytes] = []
    is_over = False
    while not is_over:
        frames, is_over = inbox.take(60, most=7)
        assert len(frames) <= 7
        taken += frames
    assert taken == [str(number).encode() for number in range(1_000)]
    inbox.close()


def test_who_says_too_much_waits_until_something_is_taken(ends: tuple[Connection, Connection]) -> None:
    inbox = Inbox(ends[0])
    said = 0
    while said < 2 * MOST_FRAMES and (has_room(ends[1], 0.5) or inbox._size_bytes < MOST_BYTES):
        if has_room(ends[1], 0):
            ends[1].send_bytes(FRAME)
            said += 1
    assert said < 2 * MOST_FRAMES
    taken = 0
    while taken < said:
        frames, _ = inbox.take(60, most=said)
        assert len(frames) <= MOST_FRAMES
        taken += len(frames)
    assert has_room(ends[1], 60)
    inbox.close()


def test_it_closes_while_the_other_end_is_open_and_while_it_is_full(
    ends: tuple[Connection, Connection],
) -> None:
    inbox = Inbox(ends[0])
    for _ in range(MOST_FRAMES):
        ends[1].send_bytes(FRAME)
    ends[1].send_bytes(b"one too many")
    wait_until(lambda: inbox._size_bytes >= MOST_BYTES)
    inbox.close()
    with pytest.raises(OSError, match=r"[Bb]roken pipe|reset"):
        ends[1].send_bytes(b"anybody?")
