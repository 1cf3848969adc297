"""The part of the client that looks at what Wattle stands on."""

from __future__ import annotations

from client.connection import Connection
from schema import PageReply
from schema.doctor import DoctorReply


class DoctorCalls(Connection):
    """What the API sees of its own machine, and where people find the page."""

    def examine(self) -> DoctorReply:
        """Have the API look at its store, its folders and its plug-ins; takes some seconds at most."""
        return self._read(DoctorReply, self._send("POST", "/api/doctor", json={}))

    def get_page(self) -> PageReply:
        """Return where people find the page."""
        return self._read(PageReply, self._send("GET", "/api/page"))
