"""The part of the client that is about quotas."""

from __future__ import annotations

from client.connection import Connection, segment
from schema.quotas import Owner, Quota, QuotaLimits, QuotasReply


class QuotaCalls(Connection):
    """What projects and tokens may have and use."""

    def list_quotas(self) -> list[Quota]:
        """Return all quotas with what is used of them."""
        return self._read(QuotasReply, self._send("GET", "/api/quotas")).quotas

    def set_quota(self, owner: Owner, name: str, limits: QuotaLimits) -> Quota:
        """Replace the quota of a project, or of a token by its id; one without limits takes it away."""
        path = f"/api/quotas/{owner}s/{segment(name)}"
        body = limits.model_dump(mode="json", exclude_none=True)
        return self._read(Quota, self._send("PUT", path, json=body))
