"""Whose address a request is from, where proxies of one's own stand before the API (decision 084)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from werkzeug.wrappers import Request

from schema.access import UNIX_PEER

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HEADER: Final = "X-Forwarded-For"
A_SOCKET: Final = "a socket"
"""The address of who comes through a unix socket."""


class Proxies:
    """The proxies whose word counts: WATTLE_TRUSTED_PROXIES."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusts_sockets = UNIX_PEER in trusted
        self._networks = [ipaddress.ip_network(entry) for entry in trusted if entry != UNIX_PEER]

    def client_address(self, request: Request) -> str:
        """Return the address that the nearest proxy which is not trusted, or the client, has called from.

        X-Forwarded-For is read from its right end, where the nearest proxy writes, for as long as those who
        wrote are trusted; what cannot be read ends it. Never raises, whatever the header says.
        """
        peer = _parse(request.remote_addr or "")
        if not self._is_trusted(peer):
            return str(peer or A_SOCKET)
        client = peer
        for hop in reversed(request.headers.get(HEADER, "").split(",")):
            said = _parse(hop)
            if said is None:
                break
            client = said
            if not self._is_trusted(said):
                break
        return str(client or A_SOCKET)

    def _is_trusted(self, address: Address | None) -> bool:
        if address is None:
            return self._trusts_sockets
        return any(address in network for network in self._networks)


def _parse(text: str) -> Address | None:
    """Read an address, with a port or without; an IPv4 one that IPv6 wraps is itself."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # A zone of an interface means something on the proxy's machine alone.
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
