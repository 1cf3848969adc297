"""The one connection to Redis: time limits, script loading, and the driver's errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from errors import Conflict, FieldError, InvalidInput, LeaseLost, NotFound, StoreUnavailable, WattleError
from store.scripts import load_scripts

CALL_TIMEOUT_S: Final = 2.0
# A blocking command is cut into slices, so that a dead server is noticed within one slice and the margin.
BLOCK_SLICE_S: Final = 5.0
BLOCK_MARGIN_S: Final = 5.0

Argument = str | int | float
# The wire is untyped: a reply is whatever the command answers. Its caller names the type.
Reply = Any
Entry = tuple[str, dict[str, str]]

# Codes our scripts answer with before their sentence.
_REFUSALS: Final[Mapping[str, type[WattleError]]] = {
    "LEASELOST": LeaseLost,
    "CONFLICT": Conflict,
    "NOTFOUND": NotFound,
    "INVALID": InvalidInput,
}
_REMEDIES: Final[Sequence[tuple[type[RedisError], str]]] = (
    (BusyLoadingError, "is still loading its data. Wait a moment and try again"),
    (AuthenticationError, "refused the user name or password. Correct them in WATTLE_REDIS_URL"),
    (NoPermissionError, "does not allow this user what Wattle needs. Give it all commands on its keys"),
    (ReadOnlyError, "is a read-only replica. Set WATTLE_REDIS_URL to the primary"),
    (
        redis.exceptions.OutOfMemoryError,
        "is out of memory. Raise its maxmemory, and keep maxmemory-policy noeviction",
    ),
    (redis.exceptions.TimeoutError, "did not answer in time. See whether it is overloaded or stopped"),
    (
        redis.exceptions.ConnectionError,
        "cannot be reached. Start it (make demo brings its own) or correct WATTLE_REDIS_URL",
    ),
    (
        RedisError,
        "refused a command. See its log, and that no other program uses this database number",
    ),
)

# What the driver does not recognise: Redis 6.2 wraps the error of a command inside a script, and Redis 7
# refuses a long command of somebody who gave no password with a word of its own.
_DISGUISED: Final[Mapping[str, type[RedisError]]] = {
    ": -READONLY ": ReadOnlyError,
    ": -OOM ": redis.exceptions.OutOfMemoryError,
    "unauthenticated": AuthenticationError,
}


class Driver(Protocol):
    """The part of redis-py that is used, without its unions of plain and awaitable replies."""

    def execute_command(self, *command: Argument | bytes) -> Reply:
        """Send a command."""

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """Collect commands."""

    def close(self) -> None:
        """Close the sockets."""


class Pipeline(Protocol):
    """Commands that are sent together."""

    def execute_command(self, *command: Argument | bytes) -> object:
        """Add a command."""

    def execute(self) -> list[Reply]:
        """Send them all."""


class Connection:
    """Typed calls to one Redis database; no driver retry, so that nothing runs twice unseen."""

    def __init__(self, url: str, db: int | None, *, key_formats: Mapping[str, str]) -> None:
        pool = _pool(url, db, timeout_s=CALL_TIMEOUT_S)
        blocking_pool = _pool(url, db, timeout_s=BLOCK_SLICE_S + BLOCK_MARGIN_S)
        self._client: Driver = redis.Redis.from_pool(pool)
        self._blocking_client: Driver = redis.Redis.from_pool(blocking_pool)
        self._scripts = load_scripts(key_formats)
        self._address = _address(pool.connection_kwargs)

    def call(self, *command: Argument) -> Reply:
        """Send one command and return its reply."""
        with self._translated():
            return self._client.execute_command(*_packed(command))

    def call_many(self, commands: Sequence[Sequence[Argument]]) -> list[Reply]:
        """Send commands in one round trip; other clients' commands may run between them."""
        if not commands:
            return []
        with self._translated():
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*_packed(command))
            return pipeline.execute()

    def run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Reply:
        """Run a script of ``store/scripts`` as one atomic step.

        Every script is safe to repeat after StoreUnavailable, when its reply may have been lost.
        """
        script = self._scripts[name]
        with self._translated():
            try:
                return self._evaluate("EVALSHA", script.sha, keys, arguments)
            except NoScriptError:
                return self._evaluate("EVAL", script.text, keys, arguments)

    def read_stream(self, key: str, *, after: str | None, limit: int) -> list[Entry]:
        """Return entries in their order: the first ones after ``after``, or without it the newest ones.

        Raises InvalidInput when ``after`` is no entry id.
        """
        if after is None:
            newest: list[Entry] = self.call("XREVRANGE", key, "+", "-", "COUNT", limit)
            return newest[::-1]
        if not re.fullmatch(r"\d{1,19}(-\d{1,19})?", after):
            raise InvalidInput(
                f"{after[:80]!r} is not the id of an entry. Pass the last one you got.",
                details=[FieldError("after", "is not the id of an entry")],
            )
        entries: list[Entry] = self.call("XRANGE", key, f"({after}", "+", "COUNT", limit)
        return entries

    def pop_blocking(self, keys: Sequence[str], *, timeout_s: float) -> bool:
        """Pop from the first of the lists that has an entry; False when ``timeout_s`` passed first.

        ``timeout_s`` is between 0.001 and BLOCK_SLICE_S: zero would mean forever to Redis.
        """
        timeout_s = min(max(timeout_s, 0.001), BLOCK_SLICE_S)
        with self._translated():
            reply: Reply = self._blocking_client.execute_command("BLPOP", *keys, timeout_s)
            return reply is not None

    def close(self) -> None:
        """Close every socket."""
        self._client.close()
        self._blocking_client.close()

    def _evaluate(
        self, command: str, script: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Reply:
        return self._client.execute_command(*_packed([command, script, len(keys), *keys, *arguments]))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ResponseError as error:
            code, _, sentence = str(error).partition(" ")
            if code in _REFUSALS:
                raise _REFUSALS[code](sentence) from error
            raise self._unavailable(error) from error
        except RedisError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: RedisError) -> StoreUnavailable:
        kind = next((kind for sign, kind in _DISGUISED.items() if sign in str(error)), type(error))
        remedy = next(text for known, text in _REMEDIES if issubclass(kind, known))
        return StoreUnavailable(f"Redis at {self._address} {remedy}. (Redis: {str(error)[:300]})")


def _pool(url: str, db: int | None, *, timeout_s: float) -> redis.ConnectionPool:
    try:
        pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=CALL_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=True,
            # Somebody else may have put any bytes into a waiting list; they must travel unharmed.
            encoding_errors="surrogateescape",
        )
    except ValueError as error:
        raise InvalidInput(
            "WATTLE_REDIS_URL is not valid: write redis://[user:password@]host:port/db, "
            "rediss://… for TLS or unix:///path/to/socket."
        ) from error
    if db is not None:
        pool.connection_kwargs["db"] = db
    return pool


def _packed(command: Sequence[Argument]) -> Iterator[Argument | bytes]:
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


def _address(connection: Mapping[str, Any]) -> str:
    """Name the server without its password."""
    place = connection.get("path") or f"{connection.get('host', 'localhost')}:{connection.get('port', 6379)}"
    return f"{place} (database {connection.get('db') or 0})"


__all__ = ["BLOCK_SLICE_S", "Argument", "Connection", "Reply"]
