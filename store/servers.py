"""The ways to a primary: one server, Sentinel, Cluster. What they share is in ``store.connection``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import MovedError, RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from errors import InvalidInput
from store.address import Address
from store.pool import quicken

CONNECT_TIMEOUT_S: Final = 2.0
# Sentinels are asked one after the other, while a worker wants to renew its lease.
_SENTINEL_TIMEOUT_S: Final = 1.0

Argument = str | int | float | bytes
# The wire is untyped: a reply is whatever the command answers. Its caller names the type.
Reply = Any


class Driver(Protocol):
    """The part of redis-py that is used, without its unions of plain and awaitable replies."""

    def execute_command(self, *command: Argument, **options: bool) -> Reply:
        """Send a command."""

    def pipeline(self, transaction: bool = True) -> Pipeline:
        """Collect commands."""

    def close(self) -> None:
        """Close the sockets."""


class Pipeline(Protocol):
    """Commands that are sent together."""

    def execute_command(self, *command: Argument) -> object:
        """Add a command."""

    def execute(self, raise_on_error: bool = True) -> list[Reply]:
        """Send them all."""


class Server(Protocol):
    """Where commands go."""

    def find_primary(self) -> Driver:
        """Return a client of the server that takes writes now."""

    def forget(self, moved: MovedError | None = None) -> None:
        """Find the primary anew before the next command: the one that was known failed or was demoted.

        moved: what it said when it is the primary of our keys no more.
        """

    def close(self) -> None:
        """Close every socket."""


def open_server(address: Address, *, timeout_s: float) -> Server:
    """Prepare the way to a primary; nothing is sent before it is first used.

    timeout_s: how long a command may take. The driver never tries one again by itself. Raises InvalidInput
    when a file that the address names does not exist.
    """
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in address.options and not Path(address.options[name]).is_file():
            raise InvalidInput(
                f"{name} in WATTLE_REDIS_URL is {address.options[name]}: there is no such file."
            )
    limits = {"socket_timeout": timeout_s, "socket_connect_timeout": CONNECT_TIMEOUT_S}
    texts = {
        "protocol": 2,
        "decode_responses": True,
        # Somebody else may have put any bytes into a waiting list; they must travel unharmed.
        "encoding_errors": "surrogateescape",
    }
    if address.form == "cluster":
        return _Cluster(address, {**limits, **texts})
    if address.form == "sentinel":
        return _Direct(_client_by_sentinel(address, {**limits, **texts}))
    options: dict[str, Any] = {**limits, **texts, **address.options}
    for host, port in address.nodes:
        options |= {"host": host, "port": port}
    return _Direct(quicken(redis.Redis(**options, retry=_no_retry())))


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


def _client_by_sentinel(address: Address, limits: dict[str, Any]) -> redis.Redis:
    """Return a client that asks the Sentinels for the primary whenever it connects."""
    options = dict(address.options)
    watchers = {
        "username": options.pop("sentinel_username", None),
        "password": options.pop("sentinel_password", None),
        **{name: value for name, value in options.items() if name.startswith("ssl")},
        "socket_timeout": _SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
        "retry": _no_retry(),
    }
    sentinel = Sentinel(address.nodes, sentinel_kwargs=watchers)
    client: redis.Redis = sentinel.master_for(address.service, **limits, **options, retry=_no_retry())
    return client


class _Direct:
    """A client that finds its primary whenever it connects: by its name or by Sentinel."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def find_primary(self) -> Driver:
        return self._client

    def forget(self, moved: MovedError | None = None) -> None:  # noqa: ARG002 - no Cluster, nothing moves
        self._client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        self._client.close()


class _Cluster:
    """A Cluster, of which only the primary of our one slot is used.

    Its node's own client sends the commands: pipelines, blocking pops and commands without a key then work as
    on one server, and WAIT comes on the connection of the write it is about.
    """

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self._address = address
        self._options = options
        self._lock = threading.Lock()
        self._cluster: RedisCluster | None = None
        self._is_stale = False
        self._moved: MovedError | None = None
        self._failure: tuple[float, RedisError | RedisClusterException] | None = None

    def find_primary(self) -> Driver:
        asked_s = time.monotonic()
        with self._lock:
            # Who waited while another thread tried in vain does not try, too: each one would wait for all
            # those before it, while nothing answers.
            if self._failure and self._failure[0] >= asked_s:
                raise self._failure[1]
            try:
                cluster = self._look()
            except (RedisError, RedisClusterException) as error:
                self._failure = (time.monotonic(), error)
                raise
            self._failure = None
        primary: Driver = cluster.get_redis_connection(cluster.get_node_from_key(self._address.prefix))
        return primary

    def forget(self, moved: MovedError | None = None) -> None:
        self._moved, self._is_stale = moved, True

    def close(self) -> None:
        with self._lock:
            if self._cluster is not None:
                self._cluster.close()

    def _look(self) -> RedisCluster:
        """Return the Cluster as it is known, or find out about it."""
        if self._cluster is None:
            self._cluster = self._connect(self._address.nodes)
        elif self._is_stale:
            self._cluster.nodes_manager.initialize()
            if self._moved is not None:
                # The node that was asked may not have heard of it yet.
                self._cluster.nodes_manager.move_slot(self._moved)
        self._moved, self._is_stale = None, False
        return self._cluster

    def _connect(self, nodes: Iterable[tuple[str, int]]) -> RedisCluster:
        options = {name: value for name, value in self._address.options.items() if name != "db"}
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            # Our slot is enough.
            require_full_coverage=False,
            # The names in the setting stay valid when nodes get other addresses; what was found may not.
            dynamic_startup_nodes=False,
            retry=_no_retry(),
            **self._options,
            **options,
        )


__all__ = ["Argument", "Driver", "Reply", "Server", "open_server"]
