"""A mail server on the loopback interface that takes every message and keeps it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import ClassVar


@dataclass
class Mail:
    """A message as it was handed in."""

    sender: str
    to: list[str]
    message: EmailMessage


@dataclass
class MailServer:
    """A server that runs, and what it was given; ``refusal``: its answer, such as 451 no."""

    port: int = 0
    refusal: str | None = None
    logins: list[str] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)


class Session(socketserver.StreamRequestHandler):
    """One connection: as much of RFC 5321 as a client needs that trusts the server."""

    kept: ClassVar[MailServer]

    def handle(self) -> None:
        """Answer until the client says good-bye."""
        self._say("220 test")
        sender, to = "", list[str]()
        while line := self.rfile.readline():
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case "EHLO" | "HELO":
                    self._say("250-test", "250 AUTH PLAIN")
                case "AUTH":
                    self.kept.logins.append(rest)
                    self._say("235 welcome")
                case "MAIL":
                    sender, to = rest, []
                    self._say("250 ok")
                case "RCPT":
                    to.append(rest)
                    self._say("250 ok")
                case "DATA":
                    self._say("354 go on")
                    self._take(sender, to)
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _take(self, sender: str, to: list[str]) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if self.kept.refusal is not None:
            self._say(self.kept.refusal)
            return
        parsed = message_from_bytes(b"".join(lines), policy=policy.default)
        self.kept.mails.append(Mail(sender, to, parsed))
        self._say("250 taken")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Serve on a free port until the block ends."""
    own = MailServer()
    session = type("OwnSession", (Session,), {"kept": own})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), session) as server:
        server.daemon_threads = True
        own.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield own
        finally:
            server.shutdown()
            thread.join()
