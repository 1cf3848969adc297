"""Which requests come from this machine itself, and which need a token."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

# What proxies add; one of them is enough, whatever it says.
_FORWARDING: Final = frozenset(
    (
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-host"),
        *("x-original-url", "x-rewrite-url", "true-client-ip", "cf-connecting-ip", "fastly-client-ip"),
    )
)
_FORWARDED: Final = "x-forwarded"


def reason_for_token(request: Request) -> str | None:
    """Say why this request may come from elsewhere; None when it can only come from this machine.

    An HTTP/1.0 request counts as a proxy's: so nginx sends on what it gets unless it is told otherwise, with
    no header that would give it away.
    """
    if not _is_loopback(request.remote_addr or ""):
        return "it comes from another machine"
    for name in request.headers.keys():  # noqa: SIM118 - these headers are no mapping
        if name.lower() in _FORWARDING or name.lower().startswith(_FORWARDED):
            return f"it came through a proxy: it has the header {name[:40]}"
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return "it came through a proxy, or a very old program: it is HTTP/1.0"
    host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    if host != "localhost" and not _is_loopback(host):
        return f"it was sent to {host[:80]!r}, which is not this machine's own name for itself"
    return None


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
