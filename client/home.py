"""What somebody sees first."""

from __future__ import annotations

from datetime import datetime

from client.connection import Connection
from schema.home import HomeReply


class HomeCalls(Connection):
    """The call of the home page."""

    def get_home(self, *, since: datetime | None = None, timezone: str = "UTC") -> HomeReply:
        """Return what runs, what ended since the last visit, this week's grams, and what needs a person."""
        params = {"timezone": timezone} | ({} if since is None else {"since": since.isoformat()})
        return self._read(HomeReply, self._send("GET", "/api/home", params=params))
