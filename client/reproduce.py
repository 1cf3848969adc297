"""How a run is repeated."""

from __future__ import annotations

from client.connection import Connection, segment
from schema.reproduce import ReproductionReply


class ReproduceCalls(Connection):
    """The calls about repeating a run."""

    def get_reproduction(self, iid: str) -> ReproductionReply:
        """Return how a run is trained again as it was, and what has changed on the live workers since."""
        return self._read(ReproductionReply, self._send("GET", f"/api/runs/{segment(iid)}/reproduction"))
