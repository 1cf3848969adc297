"""What finished runs achieved for what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue

from client.connection import Connection
from schema.leaderboard import ImportReply, LeaderboardReply
from schema.next_try import NextReply
from schema.recommend import RecommendReply

ExportFormat = Literal["csv", "parquet", "json"]


class LeaderboardCalls(Connection):
    """The calls of the leaderboard. ``query`` has the parameters of GET /api/leaderboard as texts."""

    def get_leaderboard(self, query: Mapping[str, str] | None = None) -> LeaderboardReply:
        """Return a page of a ranking."""
        return self._read(LeaderboardReply, self._send("GET", "/api/leaderboard", params=query))

    def export_leaderboard(self, query: Mapping[str, str], file_format: ExportFormat) -> bytes:
        """Return a whole ranking as a file."""
        params = {**query, "format": file_format}
        return self._send("GET", "/api/leaderboard/export", params=params).content

    def recommend(self, query: Mapping[str, str] | None = None) -> RecommendReply:
        """Return which configuration to use. ``query`` has the parameters of GET /api/recommend as texts."""
        return self._read(RecommendReply, self._send("GET", "/api/recommend", params=query))

    def suggest_next(self, query: Mapping[str, str] | None = None) -> NextReply:
        """Return what to try next. ``query`` has the parameters of GET /api/recommend/next as texts."""
        return self._read(NextReply, self._send("GET", "/api/recommend/next", params=query))

    def import_results(self, text: str, *, check: bool = False) -> ImportReply:
        """Add the runs of a leaderboard.csv, at most 2,000; the same file again changes nothing.

        With ``check`` nothing is added, and the answer says what would become of its rows.
        """
        body: dict[str, JsonValue] = {"csv": text, "check": check}
        return self._read(ImportReply, self._send("POST", "/api/leaderboard/import", json=body))
