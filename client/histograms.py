"""The part of the client that is about histograms."""

from __future__ import annotations

from collections.abc import Iterable

from client.connection import Connection, segment
from schema import HistogramsReply


class HistogramCalls(Connection):
    """Histograms of arrays over the steps of a run."""

    def list_histograms(self, iid: str) -> HistogramsReply:
        """Return the names of a run's histograms in ``names``, and how many came of each in ``counts``."""
        return self._read(HistogramsReply, self._send("GET", f"/api/histograms/{segment(iid)}"))

    def read_histograms(self, iid: str, names: Iterable[str], *, after: int = 0) -> HistogramsReply:
        """Return the histograms of at most 20 names in ``histograms``, by step.

        after: of one name, only those that came behind that number.
        """
        params = {"name": ",".join(names)} | ({"after": str(after)} if after else {})
        path = f"/api/histograms/{segment(iid)}"
        return self._read(HistogramsReply, self._send("GET", path, params=params))
