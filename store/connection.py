"""The one connection to Redis: time limits, script loading, and one way to send for every form of server."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from redis.exceptions import MovedError, NoScriptError, RedisClusterException, RedisError

from errors import FieldError, InvalidInput
from store.address import Address
from store.layout_version import check_layout
from store.refusals import is_demoted, translated
from store.scripts import load_scripts
from store.servers import Argument, Driver, Reply, Server, open_server

log = logging.getLogger(__name__)

CALL_TIMEOUT_S: Final = 2.0
# A blocking command is cut into slices, so that a dead server is noticed within one slice and the margin.
BLOCK_SLICE_S: Final = 5.0
BLOCK_MARGIN_S: Final = 5.0
# How long a write that has to reach a replica may wait for it.
REPLICA_WAIT_MS: Final = 100
# How long what is known about replicas is taken for true.
REPLICAS_KNOWN_S: Final = 5.0
_MEMBERS_AT_ONCE: Final = 1_000
# For how long the version of the store's layout is taken for what it was.
LAYOUT_KNOWN_S: Final = 5.0
# What waits for something to come, as long as it was told to.
_WAITS: Final = "XREAD"

Entry = tuple[str, dict[str, str]]


class Connection:
    """Typed calls to one Redis database; no driver retry, so that nothing runs twice unseen."""

    def __init__(self, address: Address, *, key_formats: Mapping[str, str], newest_layout: int) -> None:
        self.slow_s = math.inf
        """What takes longer is logged."""
        self._address = address
        self._server = open_server(address, timeout_s=CALL_TIMEOUT_S)
        self._blocking_server = open_server(address, timeout_s=BLOCK_SLICE_S + BLOCK_MARGIN_S)
        self._scripts = load_scripts(key_formats)
        self._has_replica = False
        self._replicas_known_until_s = 0.0
        self._is_replicated = True
        self._layout_key = key_formats["layout"]
        self._newest_layout = newest_layout
        self._layout_known_until_s = -math.inf

    def call(self, *command: Argument) -> Reply:
        """Send one command and return its reply."""
        return self._send(
            self._server, lambda driver: driver.execute_command(*_packed(command)), str(command[0])
        )

    def read_bytes(self, key: str, *, last: int | None = None) -> bytes | None:
        """Return the bytes of a string as they are, or its last ones; None when there is none.

        last: how many of its end; of a string that does not exist, none.
        """
        command: list[Argument] = ["GET", key] if last is None else ["GETRANGE", key, -last, -1]
        reply: bytes | None = self._send(
            self._server,
            lambda driver: driver.execute_command(*_packed(command), NEVER_DECODE=True),
            str(command[0]),
        )
        return reply

    def call_many(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Send commands in one round trip; other clients' commands may run between them."""
        if not commands:
            return []

        def send(driver: Driver) -> list[Reply]:
            pipeline = driver.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*_packed(command))
            return pipeline.execute()

        others = f" and {len(commands) - 1} more" if len(commands) > 1 else ""
        replies: list[Reply] = self._send(self._server, send, str(commands[0][0]) + others)
        return replies

    def run(
        self, name: str, keys: Sequence[str], arguments: Sequence[Argument], *, is_replicated: bool = False
    ) -> Reply:
        """Run a script of ``store/scripts`` as one atomic step.

        Every script is safe to repeat after StoreUnavailable, when its reply may have been lost. With
        is_replicated, where a replica is connected, it gets REPLICA_WAIT_MS to take the write over too.
        """
        script = self._scripts[name]
        send = _send_replicated if is_replicated and self._knows_replica() else _send_alone
        rest: list[Argument] = [len(keys), *keys, *arguments]

        def evaluate(driver: Driver) -> tuple[Reply, int | None]:
            try:
                return send(driver, ("EVALSHA", script.sha, *rest))
            except NoScriptError:
                return send(driver, ("EVAL", script.text, *rest))

        reply, replicas = self._send(self._server, evaluate, f"{name}.lua")
        if replicas is not None:
            self._note_replication(is_done=replicas > 0)
        return reply

    def read_stream(
        self, key: str, *, after: str | None, limit: int, before: str | None = None
    ) -> list[Entry]:
        """Return entries in their order: the first ones after ``after``, or else the newest ones.

        before: of those only that are older. Raises InvalidInput where one of both is no entry id.
        """
        if after is None:
            end = "+" if before is None else f"({_entry_id('before', before)}"
            if end == "(0-0":
                return []  # Redis has no interval that ends before its first id
            newest: list[Entry] = self.call("XREVRANGE", key, end, "-", "COUNT", limit)
            return newest[::-1]
        _entry_id("after", after)
        entries: list[Entry] = self.call("XRANGE", key, f"({after}", "+", "COUNT", limit)
        return entries

    def list_members(self, key: str) -> Iterator[str]:
        """Yield what a sorted set has, in parts: what is there all the while once at least."""
        place = "0"
        while True:
            place, found = self.call("ZSCAN", key, place, "COUNT", _MEMBERS_AT_ONCE)
            yield from (member for member, _ in found)
            if str(place) == "0":
                return

    def pop_blocking(self, keys: Sequence[str], *, timeout_s: float) -> bool:
        """Pop from the first of the lists that has an entry; False when ``timeout_s`` passed first.

        ``timeout_s`` is between 0.001 and BLOCK_SLICE_S: zero would mean forever to Redis.
        """
        command: list[Argument] = ["BLPOP", *keys, min(max(timeout_s, 0.001), BLOCK_SLICE_S)]
        reply = self._send(self._blocking_server, lambda driver: driver.execute_command(*command))
        return reply is not None

    def close(self) -> None:
        """Close every socket."""
        self._server.close()
        self._blocking_server.close()

    def _send(self, server: Server, send: Callable[[Driver], Reply], name: str = _WAITS) -> Reply:
        """Send to the primary, and log what takes long. name: of the command, without its arguments."""
        began_s = time.monotonic()
        try:
            return self._ask(server, send)
        finally:
            took_s = time.monotonic() - began_s
            if took_s > self.slow_s and name != _WAITS:
                log.warning("a slow call of Redis name=%r took_ms=%.0f", name, 1000 * took_s)

    def _ask(self, server: Server, send: Callable[[Driver], Reply]) -> Reply:
        """Send to the primary; what a Cluster has moved is sent once more, for it was not done."""
        with translated(self._address):
            try:
                self._check_layout()
                try:
                    return send(server.find_primary())
                except MovedError as moved:
                    server.forget(moved)
                    return send(server.find_primary())
            except (RedisError, RedisClusterException) as error:
                if is_demoted(error):
                    server.forget()
                raise

    def _check_layout(self) -> None:
        """Raise StoreTooNew once a newer program has written the store; asked every LAYOUT_KNOWN_S.

        Here, because everything passes here: a program that goes on beside a newer one, as in an upgrade of
        one host after the other, would write what that one does not expect.
        """
        if time.monotonic() < self._layout_known_until_s:
            return
        try:
            stored = self._server.find_primary().execute_command("GET", self._layout_key)
        except MovedError:
            return  # the command itself finds the way, and this is asked again with the next one
        check_layout(stored, known=self._newest_layout)
        self._layout_known_until_s = time.monotonic() + LAYOUT_KNOWN_S

    def _knows_replica(self) -> bool:
        """Whether a replica that keeps up is connected; asked again every REPLICAS_KNOWN_S."""
        if time.monotonic() > self._replicas_known_until_s:
            found = self.call("INFO", "replication")
            replicas = [value for name, value in found.items() if re.fullmatch(r"slave\d+", name)]
            self._has_replica = any(replica.get("state") == "online" for replica in replicas)
            self._replicas_known_until_s = time.monotonic() + REPLICAS_KNOWN_S
        return self._has_replica

    def _note_replication(self, *, is_done: bool) -> None:
        """Say once when replicas fall behind, and once when they are back."""
        if is_done != self._is_replicated:
            self._is_replicated = is_done
            if is_done:
                log.info("a replica of Redis has new runs again")
            else:
                log.warning(
                    "no replica of Redis took a new run within %d ms: a fail-over now would lose it",
                    REPLICA_WAIT_MS,
                )


def _send_alone(driver: Driver, command: Sequence[Argument]) -> tuple[Reply, None]:
    return driver.execute_command(*_packed(command)), None


def _send_replicated(driver: Driver, command: Sequence[Argument]) -> tuple[Reply, int]:
    """Send a write and WAIT, on one connection as WAIT wants it; returns how many replicas have the write.

    A WAIT that fails changes nothing about the write: it counts as none.
    """
    pipeline = driver.pipeline(transaction=False)
    pipeline.execute_command(*_packed(command))
    pipeline.execute_command("WAIT", 1, REPLICA_WAIT_MS)
    reply, replicas = pipeline.execute(raise_on_error=False)
    if isinstance(reply, Exception):
        raise reply
    return reply, replicas if isinstance(replicas, int) else 0


def _entry_id(field: str, text: str) -> str:
    """Return the whole id of an entry. Raises InvalidInput for what is none."""
    if not re.fullmatch(r"\d{1,19}(-\d{1,19})?", text):
        raise InvalidInput(
            f"{text[:80]!r} is not the id of an entry. Pass the last one you got.",
            details=[FieldError(field, "is not the id of an entry")],
        )
    milliseconds, _, number = text.partition("-")
    return f"{int(milliseconds)}-{int(number or 0)}"


def _packed(command: Sequence[Argument]) -> Iterator[Argument]:
    """Encode texts as they were decoded; hiredis, where it is installed, would not do so by itself."""
    name, *arguments = command
    # The driver finds out by its name how to read a command's reply.
    yield name
    for argument in arguments:
        yield _encoded(argument) if isinstance(argument, str) else argument


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


__all__ = ["BLOCK_SLICE_S", "Argument", "Connection", "Reply"]
