"""What a training child says, taken off its pipe at once: it never waits for a worker that awaits Redis."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import deque
from multiprocessing.connection import Connection

# A child that says more than its worker can take waits from here on.
MOST_BYTES = 16 << 20


class Inbox:
    """Reads a pipe in a thread of its own until its other end is closed."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._frames: deque[bytes] = deque()
        self._size_bytes = 0
        self._is_over = self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="inbox", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float, *, most: int) -> tuple[list[bytes], bool]:
        """Return what has arrived, ``most`` frames of it, and whether nothing else will.

        Waits at most ``timeout_s`` for the first frame.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._is_over, timeout_s)
            frames = [self._frames.popleft() for _ in range(min(most, len(self._frames)))]
            self._size_bytes -= sum(map(len, frames))
            self._changed.notify_all()
            return frames, self._is_over and not self._frames

    def close(self) -> None:
        """End the thread, also where another process has the other end, and close the pipe."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        # macOS calls a socket whose other end is closed not connected; then the thread has ended by itself.
        with socket.socket(fileno=os.dup(self._pipe.fileno())) as end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._pipe.close()

    def _read(self) -> None:
        try:
            while True:
                self._put(self._pipe.recv_bytes())
        except (EOFError, OSError):
            # Closed by the child, or broken: either way no more will come, and whoever takes is told so.
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _put(self, frame: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._size_bytes < MOST_BYTES or self._is_closing)
            self._frames.append(frame)
            self._size_bytes += len(frame)
            self._changed.notify_all()
