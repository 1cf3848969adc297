"""A door to Redis that loses a reply: what was asked is done, and nobody hears of it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from store.keys import Keys
from store.scripts import load_scripts

_CHUNK_BYTES = 1 << 20


class LossyDoor:
    """Listens on a socket of its own and hands everything on, but for a reply it is to lose."""

    def __init__(self, redis_socket: Path, path: Path) -> None:
        self._redis_socket = redis_socket
        self._to_lose: bytes | None = None
        self.lost = 0
        self.url = f"unix://{path}"
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def lose_reply_of(self, script: str) -> None:
        """Lose the next reply to a script of the store that the server knows already."""
        self._to_lose = load_scripts(Keys("").formats)[script].sha.encode()

    def close(self) -> None:
        """Let nobody in any more."""
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        """Take turns: a client of ours asks once and waits for the whole reply."""
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._redis_socket))
            back = threading.Thread(target=self._copy_back, args=(server, client), daemon=True)
            back.start()
            while chunk := _receive(client):
                if self._to_lose is not None and self._to_lose in chunk:
                    self._to_lose = None
                    self.lost += 1
                    self._swallow(client, server, chunk)
                    return
                server.sendall(chunk)
            server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _swallow(self, client: socket.socket, server: socket.socket, chunk: bytes) -> None:
        # The server has done it all before the client learns that it will hear nothing.
        with socket.socket(socket.AF_UNIX) as apart:
            apart.connect(str(self._redis_socket))
            apart.sendall(chunk)
            apart.recv(_CHUNK_BYTES)
        client.shutdown(socket.SHUT_RDWR)
        server.shutdown(socket.SHUT_RDWR)

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        while chunk := _receive(server):
            try:
                client.sendall(chunk)
            except OSError:
                return


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK_BYTES)
    except OSError:
        return b""
