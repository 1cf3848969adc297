"""Where the store is: the forms of WATTLE_REDIS_URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from redis.connection import SSLConnection, parse_url

from errors import InvalidInput

# Redis Cluster keeps all keys with this tag in one slot, so that every script finds its keys on one node.
CLUSTER_PREFIX: Final = "{wattle}:"

_SEVERAL_NODES: Final = re.compile(r"(rediss?)\+(sentinel|cluster)://([^/?#]*)([^?#]*)(\?.*)?")
_DEFAULT_PORTS: Final = {"sentinel": 26379, "cluster": 6379}
# What may stand behind the question mark: the rest of redis-py's options would undo our limits and retries.
_OPTIONS: Final = frozenset(
    {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_FORMS: Final = (
    "redis://[user:password@]host:port/db, rediss://… for TLS, unix:///path/to/socket, "
    "redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,host:port"
)

Node = tuple[str, int]


@dataclass(frozen=True)
class Address:
    """One server, a primary that Sentinels know, or a Cluster; ``str`` names it without its password.

    nodes: of the server, the Sentinels, or some nodes of the Cluster; none for a unix socket.
    options: what redis-py needs to know besides: db, username, password, ssl and its files.
    """

    form: Literal["server", "sentinel", "cluster"]
    nodes: tuple[Node, ...]
    options: Mapping[str, Any]
    service: str = ""

    @property
    def prefix(self) -> str:
        """What has to stand before every key."""
        return CLUSTER_PREFIX if self.form == "cluster" else ""

    def __str__(self) -> str:
        """Name it as a message should."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.nodes)
        if self.form == "cluster":
            return f"the Cluster {hosts}"
        place = self.options.get("unix_socket_path") or hosts
        if self.form == "sentinel":
            place = f"service {self.service} of the Sentinels {hosts}"
        return f"{place} (database {self.options.get('db', 0)})"


def parse_address(url: str, db: int | None) -> Address:
    """Read WATTLE_REDIS_URL; a database number in it counts where ``db`` is None.

    Raises InvalidInput, which never repeats the password.
    """
    several = _SEVERAL_NODES.fullmatch(url)
    try:
        _check_marks(url)
        address = _of_several(several) if several else _of_one(url)
    except ValueError:  # which may repeat any part of the URL
        raise InvalidInput(f"WATTLE_REDIS_URL is not valid: write {_FORMS}.") from None
    if db is not None:
        address = Address(address.form, address.nodes, {**address.options, "db": db}, address.service)
    if address.form == "cluster" and address.options.get("db"):
        raise InvalidInput("A Redis Cluster has database 0 only. Leave the number out of WATTLE_REDIS_URL.")
    return address


def _of_one(url: str) -> Address:
    options = _options(url, _OPTIONS)
    path = options.pop("path", None)
    if path:
        return Address("server", (), {**options, "unix_socket_path": path})
    if url.startswith("unix:"):
        raise ValueError("a unix socket has a path")
    parts = urlsplit(url)
    if parts.netloc and not parts.hostname:
        raise ValueError("a host is missing, or what stands for it is part of a password")
    _check_database(parts.path)
    node = (options.pop("host", "localhost"), options.pop("port", 6379))
    if "," in node[0]:
        raise ValueError("several hosts are Sentinels or a Cluster")
    return Address("server", (node,), options)


def _of_several(url: re.Match[str]) -> Address:
    """Read a URL with several hosts: redis-py reads the rest of it as if there were one."""
    scheme, form, place, path, query = url.groups(default="")
    user, _, hosts = place.rpartition("@")
    _, _, tail = path.partition("/")
    service, _, database = tail.partition("/") if form == "sentinel" else ("", "", tail)
    if form == "sentinel" and not service:
        raise InvalidInput(
            "WATTLE_REDIS_URL names no service: write redis+sentinel://host:port,host:port/service, with the "
            "name that the Sentinels give to the primary they watch."
        )
    _check_database(database)
    known = _OPTIONS | (_SENTINEL_OPTIONS if form == "sentinel" else frozenset())
    options = _options(f"{scheme}://{user}{'@' if user else ''}host/{database}{query}", known)
    options.pop("host")
    nodes = tuple(_node(host, _DEFAULT_PORTS[form]) for host in hosts.split(","))
    return Address("sentinel" if form == "sentinel" else "cluster", nodes, options, unquote(service))


def _node(text: str, default_port: int) -> Node:
    place = urlsplit(f"//{text.strip()}")
    if not place.hostname:
        raise ValueError("a host is missing")
    return place.hostname, place.port or default_port


def _check_marks(url: str) -> None:
    """Refuse what a password with a bare # or ? makes of a URL: its first part would be taken for a port."""
    parts = urlsplit(url)
    if "#" in url:
        raise ValueError("a URL of Redis has no fragment")
    if any("=" not in option for option in parts.query.split("&") if option):
        raise ValueError("an option has a value")


def _check_database(path: str) -> None:
    """Refuse what redis-py would silently take for database 0."""
    if not re.fullmatch(r"/?\d*/?", path):
        raise ValueError("a database is a number")


def _options(url: str, known: frozenset[str]) -> dict[str, Any]:
    options: dict[str, Any] = parse_url(url)
    is_encrypted = options.pop("connection_class", None) is SSLConnection
    unknown = set(options) - known - {"host", "port", "path", "username", "password"}
    if unknown:
        # What follows a bare ? in a password looks like an option, too.
        named = ", ".join(sorted(name for name in unknown if re.fullmatch("[a-z_]+", name)))
        raise InvalidInput(
            f"WATTLE_REDIS_URL has an option that is not known{named and ': '}{named}. "
            f"Known are {', '.join(sorted(known))}."
        )
    if any(name.startswith("ssl_") for name in options) and not is_encrypted:
        raise InvalidInput("WATTLE_REDIS_URL has options of TLS. Begin it with rediss instead of redis.")
    return {**options, "ssl": True} if is_encrypted else options
