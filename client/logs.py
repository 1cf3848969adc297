"""The part of the client that is about the logs of runs."""

from __future__ import annotations

from client.connection import Connection, segment
from schema import LogReply


class LogCalls(Connection):
    """Lines of logs, and the search in them."""

    def list_log(
        self,
        iid: str,
        after: str | None = None,
        *,
        before: str | None = None,
        contains: str | None = None,
        limit: int | None = None,
    ) -> LogReply:
        """Return the lines after ``after``, a line_id; without it the newest 1000, oldest first.

        before: of the lines before that one. contains: only those with this text; the reply says where to go
        on when more are left than one request looks at.
        """
        query = {
            "after": after,
            "before": before,
            "contains": contains,
            "limit": None if limit is None else str(limit),
        }
        given = {name: value for name, value in query.items() if value is not None}
        return self._read(LogReply, self._send("GET", f"/api/runs/{segment(iid)}/log", params=given))
